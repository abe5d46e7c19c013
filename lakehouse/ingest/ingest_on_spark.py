"""Load Parquet files into an Iceberg table with Spark, for more rows than one machine holds.

The table gets its columns from the files' own schema as the embedded ingest gives them, by a commit
without rows; Spark then reads the files and commits all of their rows at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog

from feature_specs.errors import DataError
from lakehouse.commit import Mode
from lakehouse.describe_tables import facts_of
from lakehouse.duckdb_types import column_types
from lakehouse.engines.result_types import engine_type
from lakehouse.engines.sql_engine import SqlEngine
from lakehouse.ingest.files import Ingested, LoadedFile, ingest_file
from lakehouse.ingest.fit_table import SchemaChanges, may_widen
from lakehouse.ingest.source import FileOptions, unreadable_file
from lakehouse.lake import find_table, load_table
from lakehouse.stored_types import STORED_AS

#: Types that Spark reads from Parquet as DuckDB does.
_ALIKE = {
    "BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE", "TINYINT", "SMALLINT", "UTINYINT", "USMALLINT", "UINTEGER",
    "UBIGINT",
}  # fmt: skip
_HERE = "leave --engine out, or write it as another type"


def ingest_on_spark(
    spark: SqlEngine,
    catalog: Catalog,
    identifier: str,
    source: str,
    *,
    mode: Mode,
    options: FileOptions | None = None,
    changes: SchemaChanges | None = None,
) -> Ingested:
    """Append the rows of Parquet files to a table, or make them its whole content.

    Args:
        spark: a session over the same catalog.
        source: a Parquet file, a folder of such, or a pattern.
        options: ``types`` and ``timezone`` cannot be given: columns are what the files say.
        changes: what may become of the columns of a table that is there.

    Raises:
        DataError: the files differ from each other or from the table, or hold what Spark reads
            otherwise.
    """
    if options is not None and (options.types or options.timezone):
        raise DataError(
            "on Spark columns are of the types that the files say",
            where="--types" if options.types else "--timezone",
            hint="leave it out, or load without --engine",
        )
    paths = _files(source)
    schema, rows = _schema(paths)
    table = find_table(catalog, identifier)
    before = None if table is None else facts_of(table, identifier)
    with tempfile.TemporaryDirectory(prefix="forebay") as folder:
        empty = Path(folder) / paths[0].name
        pq.write_table(schema.empty_table(), empty, version="2.6")
        kinds = _kinds(paths[0])
        _refuse_unlike(kinds, paths[0])
        ingest_file(catalog, identifier, empty, mode="append", options=options, changes=changes)
    held = column_types(load_table(catalog, identifier).schema())
    named = ", ".join(map(spark.names.column, kinds))
    items = ", ".join(_item(spark, n, k, held[n], paths[0]) for n, k in kinds.items())
    read = " union all ".join(f"select * from parquet.`{path.as_uri()}`" for path in paths)
    _check_count(spark, read, rows, source)
    verb = "into" if mode == "append" else "overwrite"
    into = spark.names.table(identifier)
    spark.run(f"insert {verb} {into} ({named}) select {items} from ({read}) as rows_read")
    after = facts_of(load_table(catalog, identifier), identifier)
    return Ingested(before, after, files=(LoadedFile(Path(source), rows),))


def _files(source: str) -> list[Path]:
    """The Parquet files of a source, in order."""
    pattern = f"{source.rstrip('/')}/**/*.parquet" if Path(source).is_dir() else source
    with duckdb.connect() as connection:
        found = connection.execute("select file from glob($1) order by file", [pattern]).fetchall()
    paths = [Path(str(file)).absolute() for (file,) in found]
    if not paths or any(p.suffix.lower() != ".parquet" for p in paths):
        raise DataError(
            "there is no such Parquet file" if not paths else "not all of it is Parquet",
            where=source,
            hint="on Spark name a Parquet file, a folder of such, or a pattern in quotes; other "
            "formats load without --engine",
        )
    odd = next((p for p in paths if any(sign in str(p) for sign in "`*?[]{}")), None)
    if odd is not None:
        raise DataError(
            "its name holds a sign that Spark reads as a pattern", where=str(odd), hint="rename it"
        )
    return paths


def _schema(paths: list[Path]) -> tuple[pa.Schema, int]:
    """The schema that all files have, and how many rows they hold."""
    first: pa.Schema | None = None
    rows = 0
    for path in paths:
        try:
            footer = pq.read_metadata(path)
        except (pa.ArrowException, OSError) as error:
            raise unreadable_file(path, error) from None
        schema = footer.schema.to_arrow_schema().remove_metadata()
        if first is not None and not schema.equals(first):
            raise DataError(
                f"its columns are not those of {paths[0]}",
                where=str(path),
                hint="load files of one schema at a time; nothing was written",
            )
        first, rows = schema, rows + footer.num_rows
    assert first is not None
    return first, rows


def _kinds(path: Path) -> dict[str, str]:
    """DuckDB's types of a file's columns."""
    with duckdb.connect() as connection:
        relation = connection.read_parquet(str(path))
        return dict(zip(relation.columns, map(str, relation.types), strict=True))


def _refuse_unlike(kinds: Mapping[str, str], path: Path) -> None:
    """Raises DataError where a column is of a type that Spark reads as another."""
    schema = pq.read_metadata(path).schema
    early = {schema.column(i).name for i in range(len(schema))
             if schema.column(i).physical_type == "INT96"}  # fmt: skip
    for name, kind in kinds.items():
        if name in early or (kind not in _ALIKE and not kind.startswith("DECIMAL(")):
            raise DataError(
                f"column {name!r} is {'an INT96' if name in early else f'of type {kind}'}, which "
                "Spark does not read as DuckDB does",
                where=str(path),
                hint=_HERE,
            )


def _item(spark: SqlEngine, name: str, kind: str, held: str, path: Path) -> str:
    """A column as the table holds it, where no value changes for that."""
    stored = STORED_AS.get(kind, kind)
    if stored.replace(" ", "") != held.replace(" ", "") and not may_widen(stored, held):
        raise DataError(
            f"column {name!r} is {kind} in the file and {held} in the table",
            where=str(path),
            hint=_HERE,
        )
    column = spark.names.column(name)
    return f"cast({column} as {engine_type(held, 'spark')}) as {column}"


def _check_count(spark: SqlEngine, read: str, rows: int, source: str) -> None:
    ((counted,),) = spark.run(f"select count(*) from ({read}) as rows_read")
    if counted != rows:
        raise DataError(
            f"Spark reads {counted:,} rows of {rows:,}",
            where=source,
            hint="load them without --engine",
        )
