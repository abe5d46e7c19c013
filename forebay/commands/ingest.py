"""forebay ingest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from feature_specs.counted import counted
from forebay.complete import complete_table
from forebay.dbt_project.declared_source import DeclaredSource, declared_sources
from forebay.dbt_project.project import Project, find_project
from forebay.events.job_events import job_events
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, progress, rows_text, say
from forebay.terminal import table as aligned

if TYPE_CHECKING:
    from forebay.example_flights.ingest_flights import TableReport
    from lakehouse.ingest.files import Ingested
    from lakehouse.layout import Layout


@click.command(
    epilog="Example: forebay ingest shop.sales sales.csv --timezone Europe/Berlin "
    "--types 'sku varchar, price decimal(10,2)'"
)
@click.argument("table", required=False, shell_complete=complete_table)
@click.argument("files", nargs=-1, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--example", type=click.Choice(["flights"]), help="Load the example project's data.")
@click.option("--replace", is_flag=True, help="Replace the table's rows instead of adding to them.")
@click.option("--again", is_flag=True, help="Load files even if they were loaded before.")
@click.option(
    "--strict", is_flag=True, help="Refuse all files if any row does not fit its source's types."
)
@click.option("--dry-run", is_flag=True, help="Check every value, and write nothing.")
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
    files: tuple[Path, ...],
    example: str | None,
    target: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Load FILEs (CSV, Parquet or JSON) into the Iceberg TABLE (namespace.name), in one commit.

    A FILE may be a folder or a quoted pattern. Every value comes through unchanged, or the first
    that would not is named with its line and nothing is written. A file that was loaded before adds
    nothing.
    """
    from forebay.events.ingest_events import tell_example, tell_ingest
    from lakehouse.lake import open_lake

    project = find_project(target=target)
    lake = open_lake(project.lake)
    if example is None and (table is None or not files):
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
            assert table is not None
            declared = _Declared(project, tuple(declared_sources(project, table)))
            loaded = _load(lake, table, files, report, declared, **given)
            done = _as_json(loaded)
            lines = [*_lines(loaded, given["replace"]), *_misfit_lines(loaded)]
            if not loaded.dry_run:
                tell_ingest(run, lake, project.lake, loaded, replaced=given["replace"])
            if declared.zone is not None:
                done["local_times"] = declared.zone
                lines.append(f"local times: {done['local_times']}")
    if as_json:
        emit_json(done)
    else:
        say("\n".join([*lines, *(["nothing written (--dry-run)"] if given["dry_run"] else [])]))


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
        "files": [
            {
                "file": str(f.path),
                "rows": f.rows,
                "loaded_before": f.known,
                "quarantined": len(f.misfits),
            }
            for f in loaded.files
        ],
        "quarantined": loaded.misfits,
        "dry_run": loaded.dry_run,
    }


def _lines(loaded: Ingested, replace: bool) -> Iterator[str]:
    """What was loaded, and the columns of a new table, or those that changed."""
    from lakehouse.ingest.source import types_hint

    before, after = loaded.before, loaded.after
    known = [f for f in loaded.files if f.known]
    came = f" of {counted(len(loaded.files), 'file')}" if len(loaded.files) > 1 else ""
    written = f"{after.name}: {counted(loaded.rows, 'row')}{came}"
    yield from (f"{f.path}: loaded before, adds nothing (--again loads it again)" for f in known)
    if before is not None and len(known) == len(loaded.files):
        yield f"{after.name}: nothing added, {rows_text(before.rows)} in all"
        return
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


def _misfit_lines(loaded: Ingested) -> Iterator[str]:
    """How many rows went to the quarantine, with the first of each file."""
    from lakehouse.ingest.quarantine import quarantine_of

    for file in loaded.files:
        if file.misfits:
            first = file.misfits[0]
            count = counted(len(file.misfits), "row")
            yield f"{file.path}: {count} did not fit; row {first.row}: {first.reason}"
    if loaded.misfits:
        where = quarantine_of(loaded.after.name)
        yield f"{counted(loaded.misfits, 'row')} in {where} (--strict refuses such a file)"


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not ParameterSource.DEFAULT


def _load(
    lake: Any,
    table: str,
    files: tuple[Path, ...],
    report: Any,
    declared: _Declared,
    *,
    replace: bool,
    again: bool,
    strict: bool,
    dry_run: bool,
    types: str | None,
    evolve: bool,
    rename: tuple[str, ...],
    drop_column: tuple[str, ...],
    engine: str,
    **written: Any,
) -> Ingested:
    from lakehouse.ingest.expand_paths import expand_paths
    from lakehouse.ingest.files import ingest_files
    from lakehouse.ingest.fit_table import SchemaChanges
    from lakehouse.ingest.source import FileOptions, parse_types

    renamed = dict(_pair(words) for words in rename)
    mode: Literal["append", "replace"] = "replace" if replace else "append"
    changes = SchemaChanges(evolve, renamed, drop_column)
    options = FileOptions(
        types=parse_types(types) if types else {}, **declared.options(), **written
    )
    if engine == "duckdb":
        return ingest_files(
            lake,
            table,
            expand_paths(files),
            mode=mode,
            again=again,
            strict=strict,
            layout=declared.layout(),
            dry_run=dry_run,
            options=options,
            changes=changes,
            progress=report,
        )
    if len(files) != 1 or strict or dry_run:
        raise click.UsageError(
            "Spark takes one FILE, folder or pattern, and no --strict or --dry-run"
        )
    from forebay.engines.connect_engine import spark_connector

    connect_to = spark_connector(declared.project)
    from lakehouse.ingest.ingest_on_spark import ingest_on_spark

    with closing(connect_to("ingest")) as spark:
        return ingest_on_spark(
            spark, lake, table, str(files[0]), mode=mode, options=options, changes=changes,
            layout=declared.layout(), again=again,
        )  # fmt: skip


@dataclass
class _Declared:
    """What the project's sources declare of a table."""

    project: Project
    sources: tuple[DeclaredSource, ...]
    zone: str | None = None

    def keeps_local(self) -> bool:
        """Whether local times stay as they are, since a source says in which zone they are."""
        with_zone = next((s for s in self.sources if s.timezone is not None), None)
        if with_zone is not None:
            self.zone = f"{with_zone.timezone}, as {with_zone.path} declares"
        return with_zone is not None

    def layout(self) -> Layout:
        """The partitions and the order of the first source that declares either."""
        from lakehouse.layout import Layout, read_layout

        for source in self.sources:
            if source.partition_by is not None or source.sort_by is not None:
                return read_layout(source.partition_by, source.sort_by, str(source.path))
        return Layout()

    def options(self) -> dict[str, Any]:
        """What becomes a part of the options of files."""
        first = next((s for s in self.sources if s.types), None)
        types = {} if first is None else {"declared": first.types, "declared_in": str(first.path)}
        return {**types, "keeps_local": self.keeps_local}


def _pair(words: str) -> tuple[str, str]:
    old, sign, new = words.partition("=")
    if not (old and sign and new):
        raise click.UsageError(f"--rename takes OLD=NEW, and not {words!r}")
    return old, new
