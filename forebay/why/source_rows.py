"""The source rows behind an entity of a view, over its leaves as they stood at some snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.compile.compiled_view import CompiledView
from feature_specs.instants import epoch_us
from feature_specs.quote import quoted
from lakehouse.lake import load_table, open_lake
from lakehouse.relations import connect, define_relations
from lakehouse.scan import Pinned
from serving.key_sql import key_value_sql

#: Leaves at their snapshots.
Leaves = Mapping[str, int | None]

#: Source rows that are looked at for one entity.
LOOKED_AT = 10_000


class TooManyRowsError(Exception):
    """More than `LOOKED_AT` source rows stand behind an entity: which of them differ is not known."""


class ExpiredLeafError(Exception):
    """A snapshot of a leaf has expired."""


class SourceRows:
    """Reads one view's source rows; it keeps a connection for each set of snapshots, until closed."""

    def __init__(self, catalog: Catalog, view: ViewEntry, compiled: CompiledView) -> None:
        self._catalog, self._view, self._compiled = catalog, view, compiled
        self._sql = compiled.trace("forebay_asked", "forebay_asked_at")
        self._connections: dict[
            tuple[tuple[str, int | None], ...], duckdb.DuckDBPyConnection | None
        ] = {}

    def close(self) -> None:
        for connection in self._connections.values():
            if connection is not None:
                connection.close()

    @property
    def key_condition(self) -> str:
        """What holds for the rows of a key that is given by `key_parameters`."""
        named = enumerate(zip(self._view.keys, self._view.entities, strict=True))
        return " and ".join(
            f"{quoted(name)} = {key_value_sql(f'$key{n}', column.type)}"
            for n, (name, column) in named
        )

    def stored_row(
        self, leaves: Leaves, key: Sequence[str], at: datetime
    ) -> Mapping[str, Any] | None:
        """The entity's stored columns by the view's query; None where it has no row.

        Raises:
            ExpiredLeafError: a snapshot is gone.
        """
        connection = self._connect(leaves)
        if connection is None:
            raise ExpiredLeafError
        sql = f"select * from ({self._compiled.stored_now}) as stored where {self.key_condition}"
        parameters: dict[str, Any] = key_parameters(key)
        if "$as_of" in sql:
            parameters["as_of"] = at
        rows = dicts(connection.execute(sql, parameters))
        return rows[0] if rows else None

    def read(
        self, leaves: Leaves, key: Sequence[str], at: datetime
    ) -> list[Mapping[str, Any]] | None:
        """The rows behind an entity at an instant; None where single rows cannot be told, or a
        snapshot of a leaf has expired.

        Raises:
            TooManyRowsError: there are more than `LOOKED_AT`.
        """
        connection = None if self._sql is None else self._connect(leaves)
        if connection is None:
            return None
        casts = ", ".join(
            f"{key_value_sql(f'$key{n}', column.type)} as {quoted(column.name)}"
            for n, column in enumerate(self._view.entities)
        )
        connection.execute(
            f"create or replace temp table forebay_asked as select {casts}, "
            f"make_timestamptz({epoch_us(at)}) as forebay_asked_at",
            key_parameters(key),
        )
        found = dicts(connection.execute(f"select * from ({self._sql}) limit {LOOKED_AT + 1}"))
        if len(found) > LOOKED_AT:
            raise TooManyRowsError
        return found

    def _connect(self, leaves: Leaves) -> duckdb.DuckDBPyConnection | None:
        named = tuple(sorted(leaves.items()))
        if named not in self._connections:
            self._connections[named] = self._open(leaves)
        return self._connections[named]

    def _open(self, leaves: Leaves) -> duckdb.DuckDBPyConnection | None:
        """A connection with the leaves at some snapshots; None where one has expired."""
        lake, pinned = open_lake(self._catalog.lake), {}
        for leaf, snapshot in leaves.items():
            entry = self._catalog.leaves[leaf]
            table = load_table(lake, entry.table)
            if snapshot is not None and table.snapshot_by_id(snapshot) is None:
                return None
            pinned[entry.relation] = Pinned(table, snapshot)
        connection = connect(self._catalog)
        define_relations(connection, pinned)
        return connection


def key_parameters(key: Sequence[str]) -> dict[str, Any]:
    """The texts of a key as parameters of `SourceRows.key_condition`."""
    return {f"key{n}": text for n, text in enumerate(key)}


def dicts(result: duckdb.DuckDBPyConnection) -> list[Mapping[str, Any]]:
    """The rows of a result, by column."""
    names = [d[0] for d in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
