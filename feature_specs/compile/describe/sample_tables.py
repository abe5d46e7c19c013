"""In-memory databases that hold a table of one row for each leaf, against which SQL is tried."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from threading import Lock

import duckdb
from sqlglot import exp

from feature_specs.compile.describe.sample_rows import SAMPLES, SEEN, Sample, sample_row
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.errors import CompileError, Location, first_line
from feature_specs.leaf import Leaf
from feature_specs.time_zones import SESSION_AT_UTC


@dataclass
class SampleTables:
    """Copies of leaves with a sample's row in each; one database a process.

    Attributes:
        lock: to be held while the tables of a view are made and read: views may call two tables by
            one name.
    """

    sample: Sample
    lock: Lock = field(default_factory=Lock)
    _process: int = 0
    _connection: duckdb.DuckDBPyConnection | None = None
    _made: dict[str, Leaf] = field(default_factory=dict)

    def open(self) -> duckdb.DuckDBPyConnection:
        """The connection of this process: a fork must not use its parent's."""
        if self._connection is None or self._process != os.getpid():
            self._connection = duckdb.connect(config={"threads": 1})
            self._connection.execute(SESSION_AT_UTC)
            self._connection.execute("pragma disable_optimizer")
            self._process, self._made = os.getpid(), {}
        return self._connection

    def make(self, leaf: Leaf, file: str) -> None:
        """Create a leaf's table. Raises CompileError where DuckDB has no such type or name."""
        made = self._made.get(leaf.name)
        if made == leaf:
            return
        connection = self.open()
        parts = [f'"{p.name}"' for p in exp.to_table(leaf.name, dialect=DUCKDB).parts]
        table = ".".join(parts)
        listed = ", ".join(f'"{name}" {kind}' for name, kind in leaf.columns.items())
        try:
            if len(parts) == 3:
                connection.execute(f"attach if not exists ':memory:' as {parts[0]}")
            if len(parts) > 1:
                connection.execute(f"create schema if not exists {'.'.join(parts[:-1])}")
            connection.execute(f"create or replace table {table} ({listed})")
            connection.execute(f"insert into {table} values ({sample_row(leaf, self.sample)})")
        except duckdb.Error as error:
            raise _no_table(leaf, file, error) from None
        self._made[leaf.name] = leaf

    def describe(self, sql: str) -> dict[str, str]:
        """Column to type of a query. Raises duckdb.Error."""
        rows = self.open().execute(f"describe {sql}", _given(sql)).fetchall()
        return {name: kind for name, kind, *_ in rows}

    def run(self, sql: str) -> dict[str, str]:
        """The same, found by running the query. Raises duckdb.Error."""
        result = self.open().execute(sql, _given(sql))
        types = {column[0]: str(column[1]) for column in result.description or []}
        result.fetchall()
        return types

    def explain(self, sql: str) -> str:
        """A query's plan as JSON, nothing in it computed. Raises duckdb.Error."""
        plan = self.open().execute(f"explain (format json) {sql}", _given(sql)).fetchall()
        return str(plan[0][1])


#: The first is asked always, the others where it fails.
TABLES, *OTHERS = (SampleTables(sample) for sample in SAMPLES)


@lru_cache(maxsize=4096)
def is_readable(value: str, kind: str) -> bool:
    """Whether a text can be read as a type."""
    row = TABLES.open().execute(f"select try_cast(? as {kind}) is null", [value]).fetchone()
    return row is not None and not row[0]


def _given(sql: str) -> Mapping[str, datetime] | None:
    return {"as_of": SEEN} if "$as_of" in sql else None


def _no_table(leaf: Leaf, file: str, error: duckdb.Error) -> CompileError:
    where = leaf.where or Location(file)
    for name, kind in leaf.columns.items():
        if not _is_type(kind):
            return CompileError(
                f"column {name!r} of {leaf.name} is of type {kind!r}, which DuckDB does not have",
                where=where,
                hint="write one of DuckDB's types; an ENUM with its values",
            )
    return CompileError(
        f"DuckDB cannot have a table {leaf.name}: {first_line(error)}",
        where=where,
        hint="rename the table or its columns",
    )


def _is_type(kind: str) -> bool:
    try:
        TABLES.open().execute(f"select cast(null as {kind})")
    except duckdb.Error:
        return False
    return True
