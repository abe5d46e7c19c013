"""forebay ingest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from forebay.options import json_option, target_option
from forebay.project import find_project
from forebay.terminal import emit_json, progress, say


@click.command()
@click.argument("table", required=False)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--example", type=click.Choice(["flights"]), help="Load the example project's data.")
@click.option("--replace", is_flag=True, help="Replace the table's rows instead of adding to them.")
@click.option("--timezone", help="The zone of timestamps that have none.")
@target_option
@json_option
def ingest_command(
    table: str | None,
    file: Path | None,
    example: str | None,
    replace: bool,
    timezone: str | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Load FILE (CSV, Parquet or JSON) into the Iceberg TABLE (namespace.name), in one commit."""
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
            from lakehouse.ingest.files import ingest_file

            assert table is not None and file is not None
            mode: Literal["append", "replace"] = "replace" if replace else "append"
            loaded = ingest_file(lake, table, file, mode=mode, timezone=timezone, progress=report)
            done = {"table": table, "rows": loaded}
    if as_json:
        emit_json(done)
    else:
        for name, value in done.items():
            say(f"{name}: {value}")
