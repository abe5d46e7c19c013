"""forebay plan."""

from __future__ import annotations

from dataclasses import asdict

import click

from forebay.options import json_option, now_option, run_instant, target_option
from forebay.project import find_project
from forebay.terminal import emit_json, progress, say


@click.command()
@now_option
@target_option
@json_option
def plan_command(now: str | None, target: str | None, as_json: bool) -> None:
    """Show what a build would recompute and whom it touches. Writes nothing."""
    from forebay.plan import make_plan, plan_text

    project = find_project(target=target)
    with progress(as_json) as report:
        plan = make_plan(project, run_instant(project, now), report)
    if as_json:
        emit_json([asdict(p) for p in plan])
    else:
        say(plan_text(plan))
