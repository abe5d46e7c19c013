"""forebay erase."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feature_specs.counted import counted
from feature_specs.errors import ForebayError
from forebay.dbt_project.project import find_project
from forebay.options import json_option, orphan_days_option, target_option, wait_option
from forebay.terminal import emit_json, progress, say, table

if TYPE_CHECKING:
    from forebay.erasure.erase import Erasure


@click.command(epilog="Example: forebay erase customer_id=7 --training-sets --dry-run")
@click.argument("entity", nargs=-1, required=True, metavar="[VIEW] NAME=VALUE...")
@click.option(
    "--training-sets",
    is_flag=True,
    help="Also from recorded training sets, and from the snapshots they were made from.",
)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also from this training set's Parquet file, outside target/.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="TABLE:NAME=COLUMN",
    help="The name of a key column in a table that calls it something else.",
)
@orphan_days_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show where the entity is, and change nothing.")
@wait_option
@target_option
@json_option
def erase_command(
    entity: tuple[str, ...],
    training_sets: bool,
    files: tuple[Path, ...],
    columns: tuple[str, ...],
    orphan_days: float,
    yes: bool,
    dry_run: bool,
    wait: float | None,
    target: str | None,
    as_json: bool,
) -> int:
    """Erase an entity, named by its key columns, from source and feature tables, their older snapshots
    and files, and the online store; then verify by reading every remaining file. Exit code 1 if the
    entity is still somewhere."""
    from forebay.erasure.erase import Request, erase, read_entity
    from forebay.events.drop_events import erase_events, tell_erased
    from lakehouse.lake import open_lake
    from lakehouse.run_lock import hold_project

    project = find_project(target=target)
    named = read_entity(entity, columns, project.catalog())
    request = Request(named, training_sets, files, orphan_days)
    if not dry_run and not yes:
        if not sys.stdin.isatty():
            raise ForebayError(
                "standard input is not a terminal, so nobody was asked and nothing was erased",
                where="forebay erase",
                hint="say --yes to erase it, or --dry-run to see where it is",
            )
        told = (
            f"Erase {request.entity} for good, with all older snapshots of the tables that hold it?"
        )
        click.confirm(told, abort=True, err=as_json)
    with (
        hold_project(project.folder, "forebay erase", wait),
        erase_events(project, told=not dry_run) as run,
        progress(as_json) as report,
    ):
        made = erase(project, request, report, dry_run=dry_run)
        tell_erased(run, project, open_lake(project.lake), made)
    if as_json:
        emit_json({**asdict(made), "dry_run": dry_run})
    else:
        _tell(made, dry_run)
    return 1 if made.kept and not dry_run else 0


def _tell(made: Erasure, dry_run: bool) -> None:
    rows = [
        (p.kind, p.name, p.rows, "-" if p.in_files is None else p.in_files)
        for p in made.places
        if p.rows or p.in_files
    ]
    if rows:
        say(table(rows, ("kind", "where", "rows", "in files")))
    else:
        say(f"{made.entity} is nowhere")
    if made.without:
        say(f"without its key columns: {', '.join(made.without)}")
    for kept in made.kept:
        held = "" if kept.rows is None else f", {counted(kept.rows, 'row')}"
        say(f"left: {kept.name}{held}: {kept.why}")
    if dry_run:
        say("nothing was erased")
    elif not made.kept:
        say(
            f"{made.entity} is in none of the {counted(made.files, 'file')} that are left. Values of "
            "others that its rows counted in change with `forebay build` and `forebay sync`"
        )
