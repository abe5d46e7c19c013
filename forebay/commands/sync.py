"""forebay sync."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from forebay.complete import complete_view
from forebay.dbt_project.project import find_project
from forebay.events.job_events import job_events
from forebay.options import json_option, target_option
from forebay.terminal import complain, emit_json, progress, say, table

if TYPE_CHECKING:
    from serving.sync import SyncReport


@click.command(epilog="Example: forebay sync --follow --every 5")
@click.argument("views", nargs=-1, shell_complete=complete_view)
@click.option("--follow", "keep_on", is_flag=True, help="Go on until interrupted.")
@click.option(
    "--every", type=click.FloatRange(0, min_open=True), help="Seconds between looks. [default: 1]"
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@target_option
@json_option
def sync_command(
    views: tuple[str, ...],
    keep_on: bool,
    every: float | None,
    dry_run: bool,
    target: str | None,
    as_json: bool,
) -> int:
    """Load VIEWS, or all, into the online store: what changed, or everything the first time.

    A view that fails leaves the others to be synced; the exit code is then 2.
    """
    from forebay.dbt_project.project_changes import tell_changes
    from serving.sync import follow, sync

    project = find_project(target=target)
    names = list(views) or None
    if every is not None and not keep_on:
        raise click.UsageError("--every goes with --follow")
    if keep_on and (dry_run or as_json):
        raise click.UsageError("--follow takes neither --dry-run nor --json")
    if keep_on:
        with job_events(project, "sync", long=True):
            follow(project.catalog, names, every=every or 1.0, stop=threading.Event(), report=_tell)
        return 0
    catalog = project.catalog()
    tell_changes(project, catalog, "What was built last is synced")
    with progress(as_json) as bar, job_events(project, "sync", told=not dry_run) as run:
        reports = sync(
            catalog,
            names,
            progress=lambda view, done, total: bar(f"sync {view}", done, total),
            dry_run=dry_run,
        )
        if failed := [r.error for r in reports if r.error]:
            run.fail(failed[0])
    if as_json:
        emit_json([asdict(r) for r in reports])
    else:
        rows = [(r.view, r.action, r.written, r.deleted, r.rows) for r in reports]
        say(table(rows, ("view", "action", "written", "deleted", "rows")))
    return 2 if complain(failed) else 0


def _tell(report: SyncReport) -> None:
    if complain([report.error] if report.error else []):
        return
    say(f"{report.view}: {report.action}, {report.written} written, {report.deleted} deleted")
