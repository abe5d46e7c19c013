"""Ask DuckDB itself for the types that a compiled view has: the last check before any data."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
from sqlglot import exp

from feature_specs.compile import CompiledView
from feature_specs.errors import CompileError, Location

_SOME_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_FLOATS = ("FLOAT", "DOUBLE", "REAL")


class TypeOracle:
    """Empty copies of leaves in an in-memory DuckDB, against which statements are bound."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("set timezone = 'UTC'")
        self.made: set[str] = set()

    def describe(self, view: CompiledView) -> tuple[dict[str, str], dict[str, str]]:
        """Types of a view's stored columns (keys and event_time too) and of its features.

        A feature that is a stored column has its type; only those computed at reading are asked.

        Raises:
            CompileError: DuckDB refuses the query, or a key is a float.
        """
        for leaf in view.leaves:
            self._make(leaf.name, dict(leaf.columns))
        stored = self._types(view, view.stored_now)
        features = {f.name: stored[f.name] for f in view.features if f.expression is None}
        at_reading = [f for f in view.features if f.expression is not None]
        if at_reading:
            nulls = ", ".join(f'cast(null as {kind}) as "{n}"' for n, kind in stored.items())
            features |= self._types(view, view.features_over(f"(select {nulls})", at_reading))
        for key in view.draft.view.entities:
            if stored[key] in _FLOATS:
                raise CompileError(
                    f"entity {key!r} is a {stored[key]}, and floats are no keys",
                    where=Location(view.draft.file),
                    mend="cast it to an integer, a decimal or text",
                )
        return stored, features

    def _types(self, view: CompiledView, sql: str) -> dict[str, str]:
        try:
            given = {"as_of": _SOME_INSTANT} if "$as_of" in sql else None
            rows = self.connection.execute(f"describe {sql}", given).fetchall()
        except duckdb.Error as error:
            raise CompileError(
                f"DuckDB refuses the query: {str(error).splitlines()[0]}",
                where=Location(view.draft.file),
                mend="mend the SQL, and check the types of the columns it names",
            ) from None
        return {name: _storable(kind) for name, kind, *_ in rows}

    def _make(self, relation: str, columns: dict[str, str]) -> None:
        if relation in self.made:
            return
        parts = [f'"{p.name}"' for p in exp.to_table(relation, dialect="duckdb").parts]
        if len(parts) == 3:
            self.connection.execute(f"attach if not exists ':memory:' as {parts[0]}")
        if len(parts) > 1:
            self.connection.execute(f"create schema if not exists {'.'.join(parts[:-1])}")
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        self.connection.execute(f"create or replace table {'.'.join(parts)} ({listed})")
        self.made.add(relation)


def _storable(kind: str) -> str:
    """Iceberg's integers end at 64 bits: wider ones are kept as decimals."""
    return "DECIMAL(38,0)" if kind in ("HUGEINT", "UHUGEINT", "UBIGINT") else kind
