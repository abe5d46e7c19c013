"""forebay ingest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click

from forebay.options import json_option, target_option
from forebay.project import find_project
from forebay.terminal import emit_json, progress, say


@click.command(
    epilog="Example: forebay ingest shop.sales sales.csv --timezone Europe/Berlin "
    "--types 'sku varchar, price decimal(10,2)'"
)
@click.argument("table", required=False)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--example", type=click.Choice(["flights"]), help="Load the example project's data.")
@click.option("--replace", is_flag=True, help="Replace the table's rows instead of adding to them.")
@click.option("--timezone", help="The zone of times that have none, such as America/New_York.")
@click.option("--types", help="Types of columns, such as 'id bigint, price decimal(10,2)'.")
@click.option("--evolve", is_flag=True, help="Add new columns to the table, and widen its types.")
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Rename a column of the table.")
@click.option("--drop-column", multiple=True, metavar="NAME", help="Drop a column of the table.")
@click.option("--delimiter", help="Between CSV fields. [default: a comma; in .tsv a tab]")
@click.option("--quote", default='"', help="Around CSV fields; '' for none. [default: \"]")
@click.option("--encoding", default="utf-8", show_default=True, help="Of a text file.")
@target_option
@json_option
def ingest_command(
    table: str | None,
    file: Path | None,
    example: str | None,
    target: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Load FILE (CSV, Parquet or JSON) into the Iceberg TABLE (namespace.name), in one commit.

    Every value comes through unchanged, or the first that would not is named with its line and
    nothing is written.
    """
    from lakehouse.lake import open_lake

    project = find_project(target=target)
    lake = open_lake(project.lake)
    if example is None and (table is None or file is None):
        raise click.UsageError("name a TABLE and a FILE, or --example flights")
    with progress(as_json) as report:
        if example is not None:
            from lakehouse.ingest.flights import ingest_flights

            done = asdict(ingest_flights(lake, report))
        else:
            assert table is not None and file is not None
            done = {"table": table, "rows": _load(lake, table, file, report, **given)}
    if as_json:
        emit_json(done)
    else:
        for name, value in done.items():
            say(f"{name}: {value}")


def _load(
    lake: Any,
    table: str,
    file: Path,
    report: Any,
    *,
    replace: bool,
    types: str | None,
    evolve: bool,
    rename: tuple[str, ...],
    drop_column: tuple[str, ...],
    **written: Any,
) -> int:
    from lakehouse.ingest.files import ingest_file
    from lakehouse.ingest.fit_table import SchemaChanges
    from lakehouse.ingest.source import FileOptions, parse_types

    renamed = dict(_pair(words) for words in rename)
    mode: Literal["append", "replace"] = "replace" if replace else "append"
    return ingest_file(
        lake,
        table,
        file,
        mode=mode,
        options=FileOptions(types=parse_types(types) if types else {}, **written),
        changes=SchemaChanges(evolve, renamed, drop_column),
        progress=report,
    )


def _pair(words: str) -> tuple[str, str]:
    old, sign, new = words.partition("=")
    if not (old and sign and new):
        raise click.UsageError(f"--rename takes OLD=NEW, and not {words!r}")
    return old, new
