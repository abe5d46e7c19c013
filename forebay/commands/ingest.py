"""forebay ingest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from forebay.complete import complete_table
from forebay.job_events import job_events
from forebay.options import json_option, target_option
from forebay.project import Project, find_project
from forebay.terminal import counted, emit_json, progress, rows_text, say
from forebay.terminal import table as aligned

if TYPE_CHECKING:
    from forebay.example_flights.ingest_flights import TableReport
    from lakehouse.ingest.files import Ingested


@click.command(
    epilog="Example: forebay ingest shop.sales sales.csv --timezone Europe/Berlin "
    "--types 'sku varchar, price decimal(10,2)'"
)
@click.argument("table", required=False, shell_complete=complete_table)
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
@click.option(
    "--engine",
    default="duckdb",
    show_default=True,
    type=click.Choice(["duckdb", "spark"]),
    help="What reads and writes; Spark takes Parquet, folders and patterns too.",
)
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
    from forebay.ingest_events import tell_example, tell_ingest
    from lakehouse.lake import open_lake

    project = find_project(target=target)
    lake = open_lake(project.lake)
    if example is None and (table is None or file is None):
        raise click.UsageError("name a TABLE and a FILE, or --example flights")
    if example is not None and (table is not None or any(_is_given(name) for name in given)):
        raise click.UsageError("--example takes no TABLE, no FILE and no options of files")
    about = table or f"example_{example}"
    with progress(as_json) as report, job_events(project, "ingest", about) as run:
        if example is not None:
            from forebay.example_flights.ingest_flights import ingest_flights

            flights = ingest_flights(lake, report)
            done = asdict(flights)
            lines = [_line(name, made) for name, made in flights.tables.items()]
            tell_example(run, lake, project.lake, flights)
        else:
            assert table is not None and file is not None
            zone = _Zone(project, table)
            loaded = _load(lake, table, file, report, zone, **given)
            done, lines = _as_json(loaded), list(_lines(loaded, given["replace"]))
            tell_ingest(run, lake, project.lake, file, loaded, replaced=given["replace"])
            if zone.found is not None:
                done["local_times"] = f"{zone.found[1]}, as {zone.found[0]} declares"
                lines.append(f"local times: {done['local_times']}")
    if as_json:
        emit_json(done)
    else:
        say("\n".join(lines))


def _line(name: str, made: TableReport) -> str:
    facts = (f"{count:,} {fact.replace('_', ' ')}" for fact, count in made.facts.items())
    parts = (counted(made.rows, "row"), *facts, *(() if made.written else ("loaded before",)))
    return f"{name}: {', '.join(parts)}"


def _as_json(loaded: Ingested) -> dict[str, Any]:
    return {
        "table": loaded.after.name,
        "rows": loaded.rows,
        "total": loaded.after.rows,
        "created": loaded.before is None,
        "columns": dict(loaded.after.columns),
    }


def _lines(loaded: Ingested, replace: bool) -> Iterator[str]:
    """What was loaded, and the columns of a new table, or those that changed."""
    from lakehouse.ingest.source import types_hint

    before, after = loaded.before, loaded.after
    written = f"{after.name}: {counted(loaded.rows, 'row')}"
    if before is None:
        yield f"{written} in a new table"
        yield from (f"  {line}" for line in aligned(list(after.columns.items())).splitlines())
        some = {name: after.columns[name] for name in loaded.inferred[:1]}
        if some:
            again = f"ingest with such as {types_hint(some)}"
            yield f"Types come from the values. For others: `forebay drop {after.name}`, then {again}"
        return
    if replace:
        yield f"{written} in place of {rows_text(before.rows)}"
    else:
        yield f"{written} added, {rows_text(after.rows)} in all"
    for name, kind in after.columns.items():
        was = before.columns.get(name)
        if was is None:
            yield f"  + {name} {kind}"
        elif was != kind:
            yield f"  ~ {name} {kind}, was {was}"
    yield from (f"  - {name}" for name in before.columns if name not in after.columns)


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not ParameterSource.DEFAULT


def _load(
    lake: Any,
    table: str,
    file: Path,
    report: Any,
    zone: _Zone,
    *,
    replace: bool,
    types: str | None,
    evolve: bool,
    rename: tuple[str, ...],
    drop_column: tuple[str, ...],
    engine: str,
    **written: Any,
) -> Ingested:
    from lakehouse.ingest.files import ingest_file
    from lakehouse.ingest.fit_table import SchemaChanges
    from lakehouse.ingest.source import FileOptions, parse_types

    renamed = dict(_pair(words) for words in rename)
    mode: Literal["append", "replace"] = "replace" if replace else "append"
    changes = SchemaChanges(evolve, renamed, drop_column)
    options = FileOptions(
        types=parse_types(types) if types else {}, keeps_local=zone.is_declared, **written
    )
    if engine == "duckdb":
        return ingest_file(
            lake, table, file, mode=mode, options=options, changes=changes, progress=report
        )
    from forebay.connect_engine import engine_connector
    from lakehouse.ingest.ingest_on_spark import ingest_on_spark

    connect_to = engine_connector(engine, zone.project)
    with closing(connect_to("ingest")) as spark:
        return ingest_on_spark(
            spark, lake, table, str(file), mode=mode, options=options, changes=changes
        )


@dataclass
class _Zone:
    """The zone that the project declares for a table; looked up where local times arrive."""

    project: Project
    table: str
    found: tuple[Path, str] | None = None

    def is_declared(self) -> bool:
        from forebay.declared_zone import declared_zone

        self.found = declared_zone(self.project, self.table)
        return self.found is not None


def _pair(words: str) -> tuple[str, str]:
    old, sign, new = words.partition("=")
    if not (old and sign and new):
        raise click.UsageError(f"--rename takes OLD=NEW, and not {words!r}")
    return old, new
