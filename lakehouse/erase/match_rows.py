"""Select an entity's rows: those whose key columns have its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial

import duckdb
from pyiceberg.schema import Schema

from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from feature_specs.time_zones import SESSION_AT_UTC
from lakehouse.duckdb_types import column_types
from lakehouse.ingest.read_text import INTEGERS, read_text

#: The column of a quarantine that holds a row as it stood in its file, as JSON.
CONTENT = "content"

#: SQL of whether a row has a value in a column of a DuckDB type.
_Test = Callable[[str, str, str], str]


@dataclass(frozen=True)
class Entity:
    """An entity to erase.

    Attributes:
        values: of its key columns, as text.
        columns: for tables that name a key column otherwise: table and key column to its name there.
    """

    values: Mapping[str, str]
    columns: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())

    def columns_in(self, table: str, schema: Schema) -> dict[str, str] | None:
        """Each key column's name in a table; None if the table lacks one."""
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
        return self._all_of(table, schema, partial(self._is_in_column, table))

    def predicate_set_aside(self, table: str, schema: Schema) -> str | None:
        """SQL that holds for the entity's rows of a table's quarantine, whose column ``content`` is
        the row as JSON; never null. None where the table has no such columns.

        Args:
            table, schema: of the table beside which the quarantine stands.
        """
        return self._all_of(table, schema, self._is_in_content)

    def _all_of(self, table: str, schema: Schema, test: _Test) -> str | None:
        """SQL of a test of every key; None where the table has no such columns."""
        columns = self.columns_in(table, schema)
        if columns is None:
            return None
        types = column_types(schema)
        return f"({' and '.join(test(self.values[k], c, types[c]) for k, c in columns.items())})"

    @staticmethod
    def _is_in_column(table: str, value: str, column: str, kind: str) -> str:
        if not _is_written_so(value, kind):
            raise DataError(
                f"{value!r} is not a valid {kind}, which column {column!r} is",
                where=f"table {table}",
                hint="write the value as that type is written",
            )
        return f"{quoted(column)} is not distinct from cast({literal(value)} as {kind})"

    @staticmethod
    def _is_in_content(value: str, column: str, kind: str) -> str:
        name = f"list_filter(json_keys({CONTENT}), lambda k: lower(k) = {literal(fold_name(column))})[1]"
        text = f"json_extract_string({CONTENT}, '$.\"' || {name} || '\"')"
        read = read_text(text, kind, None, "down")
        same = "" if read is None else f" or {read} = cast({literal(value)} as {kind})"
        return f"coalesce({text} = {literal(value)}{same}, false)"


@cache
def _is_written_so(text: str, kind: str) -> bool:
    """Whether a text is a value of a type as it is: DuckDB's cast would take 7.6 for the integer 8.

    Whole numbers are written in one way only, since the online store and text columns know of no other.
    """
    value = f"cast({literal(text)} as {kind})"
    read = read_text(literal(text), kind, None, "down")
    if read is None or kind in INTEGERS:
        read = f"case when {value}::varchar = {literal(text)} then {value} end"
    # Not DuckDB's connection of all, whose zone and whose results are its users'.
    with duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)
        try:
            found = connection.execute(f"select {read} is not null").fetchone()
        except duckdb.Error:
            return False
    return found is not None and bool(found[0])
