"""forebay build."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from feature_specs.errors import ForebayError, raise_all
from feature_specs.library_errors import MachineError
from forebay.dbt_project.project import Project, find_project
from forebay.events.job_events import build_events
from forebay.options import (
    SeveralValues,
    clock_source,
    engine_option,
    full_refresh_option,
    now_option,
    run_instant,
    select_option,
    target_option,
    wait_option,
)
from forebay.terminal import complain, progress, say


@click.command(
    cls=SeveralValues,
    several=("--select",),
    epilog="Example: forebay build --select card_activity last_payment",
)
@target_option
@now_option
@select_option
@wait_option
@full_refresh_option
@engine_option("What computes the feature views.")
@click.option("--dry-run", is_flag=True, help="Show the plan and build nothing.")
def build_command(
    target: str | None,
    now: str | None,
    select: tuple[str, ...],
    wait: float | None,
    full_refresh: bool,
    engine: str,
    dry_run: bool,
) -> int:
    """Compile, then dbt build: models, feature tables, training sets and their tests."""
    project = find_project(target=target)
    if dry_run:
        from forebay.planning.plan import make_plan, plan_text

        with progress() as report:
            at = run_instant(project, now)
            if _is_trino(project):
                from forebay.engines.build_on_trino import home_project

                project = home_project(project)
            plan = make_plan(project, at, report, select=select, full_refresh=full_refresh)
        say(plan_text(plan))
        return 2 if complain(dict.fromkeys(p.error for p in plan if p.error)) else 0
    build(project, now=now, select=select, full_refresh=full_refresh, wait=wait, engine=engine)
    return 0


def build(
    project: Project,
    *,
    now: str | None = None,
    select: tuple[str, ...] = (),
    full_refresh: bool = False,
    quiet: bool = False,
    wait: float | None = None,
    engine: str = "duckdb",
) -> None:
    """Compile and build a project at one instant.

    Args:
        engine: what computes the feature views; all else of a build is dbt's target's.
        wait: for how many seconds to wait for another build, or for whoever has the database open.

    Raises:
        ForebayError: a model or a test failed.
        HeldError: another process builds the project, or has its database open.
    """
    from lakehouse.run_lock import hold_project

    if engine != "duckdb":
        from forebay.engines.connect_engine import engine_connector

        engine_connector(engine, project)  # what it lacks is told before anything runs
    with hold_project(project.folder, "forebay build", wait), _computed_by(engine, project):
        if _is_trino(project):
            _build_on_trino(project, now, select, full_refresh, quiet)
        else:
            _build(project, now, select, full_refresh, quiet, wait)


def _is_trino(project: Project) -> bool:
    return (project.profile_target.output or {}).get("type") == "trino"


def _build_on_trino(
    project: Project, now: str | None, select: tuple[str, ...], full_refresh: bool, quiet: bool
) -> None:
    from forebay.engines.build_on_trino import build_on_trino, home_project

    home = home_project(project)
    at = run_instant(home, now)
    if now is None and home.now is not None and not quiet:
        say(home.clock_line())
    build_on_trino(project, home, at, select=select, full_refresh=full_refresh, quiet=quiet)
    _measure(home)


@contextmanager
def _computed_by(engine: str, project: Project) -> Iterator[None]:
    """Tell the plugin, in whatever process dbt runs, which engine is to compute feature views."""
    from lakehouse.dbt_plugin import ENGINE_TARGET_VARIABLE, ENGINE_VARIABLE

    told = {ENGINE_VARIABLE: engine, ENGINE_TARGET_VARIABLE: project.target or ""}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _build(
    project: Project,
    now: str | None,
    select: tuple[str, ...],
    full_refresh: bool,
    quiet: bool,
    wait: float | None,
) -> None:
    from forebay.dbt_project.find_holder import wait_for_database

    project.check_setup()
    at = run_instant(project, now)  # a wrong clock is told before anything runs
    wait_for_database(project, wait)
    with build_events(project, at):
        _build_all(project, now, select, full_refresh, quiet)


def _build_all(
    project: Project, now: str | None, select: tuple[str, ...], full_refresh: bool, quiet: bool
) -> None:
    from forebay.builds.build_leaves import build_leaves
    from forebay.compilation.compile_project import compile_project
    from lakehouse.dbt_plugin import CLOCK_VARIABLE, NOW_VARIABLE

    upstream = build_leaves(project, select=select, full_refresh=full_refresh, quiet=quiet)
    wrong = list(upstream.failures)
    with progress(quiet) as report:
        try:
            compile_project(
                project,
                progress=report,
                manifest=upstream.manifest,
                keep_going=True,
                refused=upstream.refused,
            )
        except ForebayError as error:
            raise_all([*wrong, error])
    if now is None and project.now is not None and not quiet:
        say(project.clock_line())
    os.environ[NOW_VARIABLE] = run_instant(project, now).isoformat()
    os.environ[CLOCK_VARIABLE] = clock_source(project, now)
    words = ["build", *(["--full-refresh"] if full_refresh else [])]
    try:
        project.dbt([*words, *upstream.selection(select)], quiet=quiet)
    except MachineError:
        raise
    except ForebayError as error:
        # A view that could not be compiled is skipped where a test of its source fails first.
        problems = [out.problem() for out in project.catalog().views_left_out()]
        wrong += [problem for problem in problems if problem.what not in str(error)]
        wrong.append(error)
    finally:
        del os.environ[NOW_VARIABLE], os.environ[CLOCK_VARIABLE]
    _measure(project)
    if upstream.views and not quiet:
        say(f"not built, since what they read failed: {', '.join(upstream.views)}")
    raise_all(wrong)


def _measure(project: Project) -> None:
    """Keep the statistics of what was built; what goes wrong there leaves the build as it is."""
    from feature_specs.library_errors import explain_one, known_errors
    from forebay.builds.write_shapes import write_shapes
    from lakehouse.statistics.measure_views import measure_project

    try:
        measure_project(project.catalog(), project.folder)
        write_shapes(project)
    except known_errors() as error:
        complain([f"statistics of this build were not kept: {explain_one(error)}"])
