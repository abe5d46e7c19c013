"""forebay drop."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from feature_specs.counted import counted
from feature_specs.errors import ForebayError
from forebay.complete import complete_table
from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, rows_text, say


@click.command(epilog="Example: forebay drop shop.sales --dry-run")
@click.argument("table", shell_complete=complete_table)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and drop nothing.")
@click.option(
    "--force", is_flag=True, help="Drop it although feature views read it, or are stored in it."
)
@target_option
@json_option
def drop_command(
    table: str, yes: bool, dry_run: bool, force: bool, target: str | None, as_json: bool
) -> None:
    """Drop the Iceberg TABLE (namespace.name): its rows, its history and its files."""
    from forebay.compilation.table_readers import table_readers
    from forebay.events.drop_events import drop_events
    from lakehouse.describe_tables import describe_table
    from lakehouse.drop_table import KeptFiles, drop_table
    from lakehouse.lake import open_lake

    project = find_project(target=target)
    lake = open_lake(project.lake)
    held = describe_table(lake, table)
    readers = table_readers(project, table)
    if not as_json:
        counts = ((held.snapshots, "snapshot"), (held.files, "file"))
        said = [rows_text(held.rows), *(counted(n, what) for n, what in counts)]
        say(f"{table}: {', '.join(said)}")
        say(f"read by: {', '.join(readers) or 'no compiled feature view'}")
    if readers and not force and not dry_run:
        raise ForebayError(
            f"{', '.join(readers)} {'read' if len(readers) > 1 else 'reads'} table {table}",
            where="forebay drop",
            hint="take it out of them and run `forebay compile`, or say --force to drop it all the "
            "same: `forebay ingest` can then recreate it",
        )
    kept = KeptFiles()
    if not dry_run:
        if not yes and not sys.stdin.isatty():
            raise ForebayError(
                "standard input is not a terminal, so nobody was asked and nothing was dropped",
                where="forebay drop",
                hint="say --yes to drop it, or --dry-run to see what would go",
            )
        if not yes:
            click.confirm(f"Drop {table} and its files for good?", abort=True, err=as_json)
        with drop_events(project, lake, table):
            kept = drop_table(lake, table)
    if as_json:
        size = {"rows": held.rows, "files": held.files, "snapshots": held.snapshots}
        done = {"readers": readers, "dropped": not dry_run, "kept": asdict(kept)}
        emit_json({"table": table, **size, **done})
        return
    for why, files in {
        "kept, since others put them there": kept.elsewhere,
        "could not be removed": kept.failed,
        "could not be read, so that files which it names may be left": kept.unknown,
    }.items():
        for file in files:
            say(f"{file}: {why}")
    say("nothing was dropped" if dry_run else f"{table} is dropped")
