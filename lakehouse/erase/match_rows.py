"""Which rows of a table are an entity's: those whose key columns have its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb
from pyiceberg.schema import Schema

from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from lakehouse.duckdb_types import column_types


@dataclass(frozen=True)
class Entity:
    """An entity that is to be erased.

    Attributes:
        values: of its key columns, as text.
        columns: for tables that name a key column otherwise: table and key column to its name there.
    """

    values: Mapping[str, str]
    columns: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())

    def columns_in(self, table: str, schema: Schema) -> dict[str, str] | None:
        """Of each key column its name in a table; None where the table lacks one."""
        names = {fold_name(f.name): f.name for f in schema.fields}
        found = {}
        for key in self.values:
            named = self.columns.get((table, key), key)
            if fold_name(named) not in names:
                return None
            found[key] = names[fold_name(named)]
        return found

    def predicate(self, table: str, schema: Schema) -> str | None:
        """SQL that holds for the entity's rows of a table, and is never null; None where the table
        has no such columns.

        Raises:
            DataError: a value is none of the column's type, so that it cannot be sought there.
        """
        columns = self.columns_in(table, schema)
        if columns is None:
            return None
        types = column_types(schema)
        parts = []
        for key, column in columns.items():
            value = f"cast({literal(self.values[key])} as {types[column]})"
            try:
                duckdb.execute(f"select {value}")
            except duckdb.Error:
                raise DataError(
                    f"{self.values[key]!r} is no {types[column]}, which column {column!r} is",
                    where=f"table {table}",
                    hint="write the value as that type is written",
                ) from None
            parts.append(f"{quoted(column)} is not distinct from {value}")
        return f"({' and '.join(parts)})"
