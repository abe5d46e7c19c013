"""forebay advance."""

from __future__ import annotations

import click

from forebay.complete import complete_view
from forebay.dbt_project.project import find_project
from forebay.events.job_events import job_events
from forebay.options import json_option, target_option
from forebay.terminal import complain, emit_json, progress, say, table


@click.command(
    epilog="Example: forebay advance card_activity --until 2026-11-30T00:00:00Z --steps 24 --check"
)
@click.argument("views", nargs=-1, shell_complete=complete_view)
@click.option("--until", required=True, help="The instant to reach, ISO 8601 with offset.")
@click.option(
    "--steps", default=1, show_default=True, type=click.IntRange(1), help="In how many equal steps."
)
@click.option(
    "--check", is_flag=True, help="After each step compare with the features computed in full."
)
@target_option
@json_option
def advance_command(
    views: tuple[str, ...], until: str, steps: int, check: bool, target: str | None, as_json: bool
) -> int:
    """Bring VIEWS (default: all) to a later instant by their incremental variant. Exit code 1 if a
    checked step differs, 2 if a view cannot be stepped; the others still are."""
    from feature_specs.instants import parse_instant
    from forebay.builds.advance import advance_project
    from forebay.dbt_project.project_changes import tell_changes
    from forebay.events.view_events import tell_view
    from lineage.events.run import Job

    project = find_project(target=target)
    end = parse_instant(until, where="--until")
    tell_changes(project, project.catalog(), "The features are advanced as they were compiled")
    with progress(as_json) as report, job_events(project, "advance", nominal=end) as run:
        done = list(advance_project(project, views, end, steps, check=check, progress=report))
        for name in dict.fromkeys(s.view for s in done if s.advance is not None):
            part = run.child(Job(f"{project.settings.get('name')}.advance.{name}", "ADVANCE"))
            with part.going_on():
                tell_view(part, project, name)
        if failed := [s.error for s in done if s.error]:
            run.fail(failed[0])
    rows = [
        (s.at.isoformat(), s.view, s.advance.how, s.advance.touched, s.advance.upserts,
         s.advance.deletes, "-" if s.differing is None else s.differing)
        for s in done if s.advance is not None
    ]  # fmt: skip
    header = ("at", "view", "how", "touched", "upserts", "deletes", "differing")
    if as_json:
        told = [{"at": s.at.isoformat(), "view": s.view, "error": s.error} for s in done if s.error]
        emit_json([*(dict(zip(header, row, strict=True)) for row in rows), *told])
    else:
        say(table(rows, header))
    if complain(f"{s.view}: {s.error}" for s in done if s.error):
        return 2
    return 1 if any(s.differing for s in done) else 0
