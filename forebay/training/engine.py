"""What computes a training set: the seam between what is asked and the engine that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.progress import Share
from forebay.compilation.current_service import CompiledService
from forebay.dbt_project.project import Project
from forebay.engines.connect_engine import engine_connector
from lakehouse.ingest.spine import Spine
from lakehouse.scan import Pinned


@dataclass(frozen=True)
class SpineFile:
    """A file as a spine.

    Attributes:
        path: Parquet, CSV or JSON.
        facts: what a record says of it: ``path``, ``sha256`` of its bytes.
        named: what errors call it.
        numbered: whether its rows are numbered by a column of their own.
    """

    path: Path
    facts: Mapping[str, Any]
    named: str
    numbered: bool = False


@dataclass(frozen=True)
class SpineQuery:
    """A query over the lake's tables as a spine.

    Attributes:
        sql: in the engine's SQL.
        facts: what a record says of it: ``query``.
        named: what errors call it.
    """

    sql: str
    facts: Mapping[str, Any]
    named: str


@dataclass(frozen=True)
class SpineReading:
    """How a spine is read.

    Attributes:
        timestamp: the column of instants; None for ``event_timestamp``, or the only time there is.
        timezone: the zone of instants that have none.
        types: DuckDB types of keys and request values, as which text and JSON are read.
    """

    timestamp: str | None
    timezone: str | None
    types: Mapping[str, str]


class TrainingEngine(Protocol):
    """Runs one training set's statements. Names and types of columns are DuckDB's on every engine.

    Methods raise ForebayError, with what is wrong in the words of a user of forebay.
    """

    #: As `--engine` names it.
    name: str
    #: The tables that a spine's query reads, by relation, as far as this process knows them.
    spine_tables: Mapping[str, Pinned]

    def load_spine(self, source: SpineFile | SpineQuery, reading: SpineReading) -> Spine:
        """Make a spine readable by `Spine.sql`, each value as it stands in its source."""

    def count_rows(self, spine: Spine, needed: set[str]) -> tuple[int, int]:
        """How many rows a spine has, and in how many of them one of some columns is null."""

    def earliest(self, spine: Spine) -> int | None:
        """The earliest instant of a spine, in microseconds; None where it has none."""

    def statement(
        self, compiled: CompiledService, spine: Spine, lag_us: int, pinned: Mapping[str, Pinned]
    ) -> str:
        """SQL of a service's features over a loaded spine, every leaf read as it is pinned.

        Args:
            pinned: the leaves' tables, by relation.
        """

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a query in order, and their DuckDB types."""

    def schema(self, sql: str) -> pa.Schema:
        """A query's columns as `batches` gives them."""

    def in_order(self, sql: str, columns: Sequence[str], by: str) -> str:
        """SQL of some columns of a query, its rows ordered by another column."""

    def batches(self, sql: str, rows: int, report: Share | None) -> Iterator[pa.RecordBatch]:
        """A query's rows, at most so many a batch; several may be read side by side.

        One that is closed early ends its statement. No value is changed: what Arrow has no type for
        comes as another type that holds it (`arrow_select`).
        """

    def write_parquet(
        self, sql: str, out: Path, metadata: Mapping[str, str], report: Share | None
    ) -> None:
        """Write a query's rows to a file that appears only once it is whole.

        Args:
            metadata: keys and texts for the file's footer.
        """

    def use_threads(self, threads: int) -> None:
        """Compute on so many threads of this process, where it is this process that computes."""

    def cancel(self) -> None:
        """End the statement that runs, if any. Any thread may call it."""

    def close(self) -> None:
        """Drop what was made for the set, and disconnect. Closing again does nothing."""


def open_engine(name: str, project: Project, compiled: CompiledService) -> TrainingEngine:
    """The engine of that name, for one training set.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in ENGINES:
        raise UnknownNameError(
            f"no engine is named {name!r}", where="engine", hint=did_you_mean(name, ENGINES)
        )
    return ENGINES[name](project, compiled)


def _duckdb(project: Project, compiled: CompiledService) -> TrainingEngine:
    from forebay.training.duckdb_engine import DuckDBEngine

    return DuckDBEngine(compiled.catalog)


def _on_lake(name: str) -> Callable[[Project, CompiledService], TrainingEngine]:
    def open_it(project: Project, compiled: CompiledService) -> TrainingEngine:
        connect_to = engine_connector(name, project)
        from forebay.training.lake_engine import LakeEngine

        return LakeEngine(name, compiled.catalog, connect_to)

    return open_it


#: Each is imported only where it is used.
ENGINES: Mapping[str, Callable[[Project, CompiledService], TrainingEngine]] = {
    "duckdb": _duckdb,
    "trino": _on_lake("trino"),
    "spark": _on_lake("spark"),
}
