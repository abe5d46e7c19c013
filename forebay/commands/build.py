"""forebay build."""

from __future__ import annotations

import os

import click

from forebay.options import clock_source, now_option, run_instant, target_option
from forebay.project import Project, find_project
from forebay.terminal import progress, say


@click.command()
@target_option
@now_option
@click.option("--select", multiple=True, help="dbt's node selection.")
@click.option("--full-refresh", is_flag=True, help="Recompute every feature table in full.")
@click.option("--dry-run", is_flag=True, help="Show the plan and build nothing.")
def build_command(
    target: str | None, now: str | None, select: tuple[str, ...], full_refresh: bool, dry_run: bool
) -> None:
    """Compile, then dbt build: models, feature tables, training sets and their tests."""
    project = find_project(target=target)
    if dry_run:
        from forebay.plan import make_plan, plan_text

        with progress() as report:
            say(plan_text(make_plan(project, report)))
        return
    build(project, now=now, select=select, full_refresh=full_refresh)


def build(
    project: Project,
    *,
    now: str | None = None,
    select: tuple[str, ...] = (),
    full_refresh: bool = False,
    quiet: bool = False,
) -> None:
    """Compile and build a project at one instant.

    Raises:
        ForebayError: a model or a test failed.
    """
    from forebay.compile_project import compile_project
    from lakehouse.dbt_plugin import CLOCK_VARIABLE, NOW_VARIABLE

    with progress(quiet) as report:
        compile_project(project, progress=report)
    if now is None and project.now is not None and not quiet:
        say(project.clock_line())
    os.environ[NOW_VARIABLE] = run_instant(project, now).isoformat()
    os.environ[CLOCK_VARIABLE] = clock_source(project, now)
    words = ["build", *(["--full-refresh"] if full_refresh else [])]
    if select:
        words += ["--select", *select]
    try:
        project.dbt(words, quiet=quiet)
    finally:
        del os.environ[NOW_VARIABLE], os.environ[CLOCK_VARIABLE]
