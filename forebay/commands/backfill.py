"""forebay backfill."""

from __future__ import annotations

from dataclasses import asdict

import click

from feature_specs.counted import counted
from forebay.complete import complete_view
from forebay.dbt_project.project import find_project
from forebay.events.job_events import job_events
from forebay.options import json_option, now_option, run_instant, target_option
from forebay.terminal import emit_json, progress, say


@click.command(
    epilog="Example: forebay backfill card_activity --from 2026-11-01T00:00:00Z "
    "--to 2026-11-28T00:00:00Z --every '1 day' --chunk '30 days'"
)
@click.argument("view", shell_complete=complete_view)
@click.option("--from", "start", required=True, metavar="INSTANT", help="The first instant.")
@click.option("--to", "end", required=True, metavar="INSTANT", help="The last instant, inclusive.")
@click.option("--every", required=True, metavar="DURATION", help="The distance between instants.")
@click.option(
    "--chunk",
    default="30 days",
    show_default=True,
    metavar="DURATION",
    help="How much history goes into one commit.",
)
@click.option("--reset", is_flag=True, help="Start over: discard the existing history.")
@click.option("--dry-run", is_flag=True, help="Estimate the cost, and write nothing.")
@now_option
@target_option
@json_option
def backfill_command(
    view: str,
    start: str,
    end: str,
    every: str,
    chunk: str,
    reset: bool,
    dry_run: bool,
    now: str | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Compute VIEW's features as of each of a range of instants, for every entity that has any then,
    into a history table of its own. A killed run resumes where it stopped."""
    from forebay.builds.backfill import Backfill
    from forebay.dbt_project.project_changes import tell_changes
    from forebay.events.view_events import tell_view

    project = find_project(target=target)
    tell_changes(project, project.catalog(), "The history is of the view as it was compiled")
    made = Backfill(project, view, every, start, end, chunk, run_instant(project, now), reset)
    there = made.state.done
    guess = made.estimate()
    if not as_json:
        say(f"{made.table}: {counted(guess.instants, 'instant')} in {counted(guess.chunks, 'chunk')}, "
            f"about {guess.rows:,} rows and {guess.seconds:.0f} s; {there:,} there already")  # fmt: skip
    if dry_run:
        if as_json:
            emit_json({"table": made.table, "before": there, "dry_run": True, **asdict(guess)})
        return
    with progress(as_json) as report, job_events(project, "backfill", view) as run:
        done = made.run(report)
        tell_view(run, project, view, made.table)
    if as_json:
        emit_json({**asdict(done), "estimate": asdict(guess), "dry_run": False})
        return
    say(f"{done.table}: {done.rows:,} rows written, {counted(done.instants, 'instant')} in all")
