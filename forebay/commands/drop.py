"""forebay drop."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from feature_specs.errors import ForebayError
from forebay.options import json_option, target_option
from forebay.project import Project, find_project
from forebay.terminal import emit_json, say


@click.command(epilog="Example: forebay drop shop.sales --dry-run")
@click.argument("table")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and drop nothing.")
@click.option("--force", is_flag=True, help="Drop it although feature views read it.")
@target_option
@json_option
def drop_command(
    table: str, yes: bool, dry_run: bool, force: bool, target: str | None, as_json: bool
) -> None:
    """Drop the Iceberg TABLE (namespace.name): its rows, its history and its files."""
    from lakehouse.drop_table import drop_table, measure_table
    from lakehouse.lake import open_lake

    project = find_project(target=target)
    lake = open_lake(project.lake)
    held = measure_table(lake, table)
    readers = _readers(project, table)
    if not as_json:
        say(f"{table}: {held.rows} rows, {held.snapshots} snapshots, {held.files} files")
        say(f"read by: {', '.join(readers) or 'no compiled feature view'}")
    if readers and not force and not dry_run:
        raise ForebayError(
            f"{', '.join(readers)} {'read' if len(readers) > 1 else 'reads'} table {table}",
            where="forebay drop",
            mend="take it out of them and run `forebay compile`, or say --force",
        )
    if not dry_run:
        if not yes and not sys.stdin.isatty():
            raise ForebayError(
                "there is nobody to ask", where="forebay drop", mend="say --yes, or --dry-run"
            )
        if not yes:
            click.confirm(f"Drop {table} and its files for good?", abort=True)
        drop_table(lake, table)
    if as_json:
        emit_json({"table": table, **asdict(held), "readers": readers, "dropped": not dry_run})
    else:
        say("nothing was dropped" if dry_run else f"{table} is dropped")


def _readers(project: Project, table: str) -> list[str]:
    """The compiled feature views that read a table, or whose own table it is."""
    if not (project.folder / "catalog.json").exists():
        return []
    catalog = project.catalog()
    leaves = {name for name, leaf in catalog.leaves.items() if leaf.table == table}
    return sorted(
        view.name
        for view in catalog.views.values()
        if leaves & set(view.leaves) or table in (view.table, view.history_table)
    )
