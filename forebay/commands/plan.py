"""forebay plan."""

from __future__ import annotations

from dataclasses import asdict

import click

from forebay.options import (
    SeveralValues,
    full_refresh_option,
    json_option,
    now_option,
    run_instant,
    select_option,
    target_option,
)
from forebay.project import find_project
from forebay.terminal import complain, emit_json, progress, say


@click.command(
    cls=SeveralValues, several=("--select",), epilog="Example: forebay plan --select card_activity"
)
@now_option
@select_option
@full_refresh_option
@target_option
@json_option
def plan_command(
    now: str | None,
    select: tuple[str, ...],
    full_refresh: bool,
    target: str | None,
    as_json: bool,
) -> int:
    """Show what a build would recompute and whom it touches. Writes nothing. Exit code 2 if a view
    cannot be built; the others are planned."""
    from forebay.plan import make_plan, plan_text

    project = find_project(target=target)
    with progress(as_json) as report:
        at = run_instant(project, now)
        plan = make_plan(project, at, report, select=select, full_refresh=full_refresh)
    if as_json:
        emit_json([asdict(p) for p in plan])
    else:
        say(plan_text(plan))
    return 2 if complain(dict.fromkeys(p.error for p in plan if p.error)) else 0
