"""Load Parquet files into an Iceberg table with Spark, for more rows than one machine holds.

Spark's workers read the files and write the table's data files. This process then commits them as
it does its own, with the columns, the layout and the record of what is loaded in the same commit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from feature_specs.errors import DataError
from lakehouse.commit import Mode, OvertakenError
from lakehouse.duckdb_types import column_types
from lakehouse.engines.result_types import engine_type
from lakehouse.engines.spark import SparkEngine
from lakehouse.engines.stage_rows import STAGED, StageRows, files_of
from lakehouse.ingest.expand_paths import expand_paths
from lakehouse.ingest.files import Ingested, LoadedFile, check_changes, ingest_files, new_files
from lakehouse.ingest.fit_table import SchemaChanges, may_widen
from lakehouse.ingest.land_files import UncommittedFiles
from lakehouse.ingest.loaded_files import Content, content_of, loaded_files
from lakehouse.ingest.source import FileOptions, changed_meanwhile, stamp_of, unreadable_file
from lakehouse.layout import Layout, partitions_of
from lakehouse.stored_types import STORED_AS
from lakehouse.write_arrow import DetachedTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Types that Spark reads from Parquet as DuckDB does.
_ALIKE = {
    "BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE", "TINYINT", "SMALLINT", "UTINYINT", "USMALLINT", "UINTEGER",
    "UBIGINT",
}  # fmt: skip
_HERE = "leave --engine out, or write it as another type"


def ingest_on_spark(
    spark: SparkEngine,
    catalog: Catalog,
    identifier: str,
    source: str,
    *,
    mode: Mode,
    options: FileOptions | None = None,
    changes: SchemaChanges | None = None,
    layout: Layout | None = None,
    again: bool = False,
) -> Ingested:
    """Append the rows of Parquet files to a table, or make them its whole content, in one commit.

    Args:
        spark: a session on the machines where the files are.
        source: a Parquet file, a folder of such, or a pattern.
        options: ``types`` and ``timezone`` cannot be given: columns are what the files say.
        changes: what may become of the columns of a table that is there.
        layout: partitions and order that the table is to have from now on.
        again: load files that were loaded before once more.

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
    schema, counts = _schema(paths)
    kinds = _kinds(paths[0])
    _refuse_unlike(kinds, paths[0])
    changes = changes or SchemaChanges()
    contents = dict(zip(paths, _contents(spark, paths), strict=True))
    reading = _Reading(spark, kinds, counts, contents, changes, again)
    with tempfile.TemporaryDirectory(prefix="forebay") as folder:
        # Of what is to become of the columns a file without rows says as much as all of them.
        empty = Path(folder) / paths[0].name
        pq.write_table(schema.empty_table(), empty, version="2.6")
        done = ingest_files(
            catalog, identifier, [empty], mode=mode, options=options, changes=changes,
            again=True, layout=layout, draft=partial(_FilesOnSpark, reading=reading, mode=mode),
        )  # fmt: skip
    files = tuple(
        LoadedFile(p, counts[p] if p in reading.new else 0, known=p not in reading.new)
        for p in paths
    )
    return replace(done, files=files)


@dataclass
class _Reading:
    """Files on their way into a table.

    Attributes:
        kinds: DuckDB's types of their columns.
        counts: of each file its rows.
        new: those that the table lacks, as it was when it was last looked at.
    """

    spark: SparkEngine
    kinds: Mapping[str, str]
    counts: Mapping[Path, int]
    contents: Mapping[Path, Content]
    changes: SchemaChanges
    again: bool
    new: list[Path] = field(default_factory=list)


@dataclass
class _FilesOnSpark(UncommittedFiles):
    """Data files that Spark's workers write."""

    reading: _Reading = field(kw_only=True)
    mode: Mode = field(kw_only=True)

    def write(self, *_: object) -> None:
        reading, table = self.reading, self.table
        assert table is not None
        known = {} if reading.again or self.mode == "replace" else loaded_files(self.base)
        reading.new = new_files(reading.contents, known, reading.again)
        check_changes(reading.changes, reading.new, list(reading.contents))
        if not reading.new:
            return
        # Spark reads all of them at once: whose rows a data file has is not known.
        self.files = {path: [] for path in reading.new}
        self.files[reading.new[0]] = _stage(reading, table)
        _check(reading, self.files[reading.new[0]])

    def land(self, mode: Mode, digests: Mapping[Path, str], *, again: bool) -> Table:
        told = {path: content.digest for path, content in self.reading.contents.items()}
        return super().land(mode, told, again=self.reading.again)

    def _leave_out(self, paths: Iterable[Path]) -> None:
        if any(path in self.files for path in paths):
            raise OvertakenError  # another process has loaded one: the rest is read again


def _stage(reading: _Reading, table: Table) -> list[DataFile]:
    """Have Spark's workers write the rows as data files of a table."""
    names, held = reading.spark.names, column_types(table.schema())
    first = reading.new[0]
    items = ", ".join(
        _item(names.column(n), n, reading.kinds[n], k, first) for n, k in held.items()
    )
    read = " union all ".join(f"select * from parquet.`{path.as_uri()}`" for path in reading.new)
    sql = f"select {items} from ({read}) as rows_read"
    stage = StageRows(DetachedTable.of(table))
    # A task's rows become a file of each partition that they are in.
    parts = partitions_of(table.spec(), table.schema()) or ()
    apart = [names.column(part.column) for part in parts if part.kind != "bucket"]

    def frame(session: SparkSession) -> DataFrame:
        rows = session.sql(sql)
        if apart:
            rows = rows.repartitionByRange(*apart)
        return rows.mapInArrow(stage, STAGED)

    return files_of(reading.spark.compute(frame, sql))


def _check(reading: _Reading, files: list[DataFile]) -> None:
    """Raise DataError where Spark has not read what the files hold."""
    counted, rows = sum(f.record_count for f in files), sum(reading.counts[p] for p in reading.new)
    if counted != rows:
        raise DataError(
            f"Spark reads {counted:,} rows of {rows:,}",
            where=str(reading.new[0]),
            hint="load them without --engine; nothing was written",
        )
    for path in reading.new:
        if stamp_of(path) != reading.contents[path].stamp:
            raise changed_meanwhile(path)


def _contents(spark: SparkEngine, paths: list[Path]) -> list[Content]:
    """What is in each file; Spark's workers read them, so that it takes as many as there are."""

    def frame(session: SparkSession) -> DataFrame:
        named = session.createDataFrame(
            [(n, str(p)) for n, p in enumerate(paths)], "n int, path string"
        )
        return named.repartition(min(len(paths), 200)).mapInArrow(_digests, "n int, digest string")

    stamps = [stamp_of(path) for path in paths]
    found = spark.compute(frame, "digests of files")
    digests = dict(zip(found["n"].to_pylist(), found["digest"].to_pylist(), strict=True))
    return [Content(digests[n], stamp) for n, stamp in enumerate(stamps)]


def _digests(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    for batch in batches:
        found = [content_of(Path(path)).digest for path in batch["path"].to_pylist()]
        yield pa.RecordBatch.from_pydict({"n": batch["n"], "digest": found})


def _files(source: str) -> list[Path]:
    """The Parquet files of a source, in order."""
    paths = [path.absolute() for path in expand_paths([Path(source)])]
    other = next((p for p in paths if p.suffix.lower() != ".parquet"), None)
    if other is not None:
        raise DataError(
            "it is not a Parquet file",
            where=str(other),
            hint="on Spark name a Parquet file, a folder of such, or a pattern in quotes; other "
            "formats load without --engine",
        )
    odd = next((p for p in paths if any(sign in str(p) for sign in "`*?[]{}")), None)
    if odd is not None:
        raise DataError(
            "its name holds a sign that Spark reads as a pattern", where=str(odd), hint="rename it"
        )
    return paths


def _schema(paths: list[Path]) -> tuple[pa.Schema, dict[Path, int]]:
    """The schema that all files have, and how many rows each holds."""
    first: pa.Schema | None = None
    rows = dict[Path, int]()
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
        first, rows[path] = schema, footer.num_rows
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


def _item(column: str, name: str, kind: str, held: str, path: Path) -> str:
    """A column as the table holds it, where no value changes for that."""
    stored = STORED_AS.get(kind, kind)
    if stored.replace(" ", "") != held.replace(" ", "") and not may_widen(stored, held):
        raise DataError(
            f"column {name!r} is {kind} in the file and {held} in the table",
            where=str(path),
            hint=_HERE,
        )
    return f"cast({column} as {engine_type(held, 'spark')}) as {column}"
