"""A spine that is a table or a query of an engine, as a numbered scratch table."""

from __future__ import annotations

import re

from feature_specs.errors import DataError
from lakehouse.engines.sql_engine import SqlEngine

#: Types that an Iceberg table has not, to what holds the same values there.
_WIDER = {
    "trino": {
        "tinyint": "integer", "smallint": "integer", "json": "varchar", "ipaddress": "varchar",
    },
    "spark": {"tinyint": "integer", "smallint": "integer"},
}  # fmt: skip
#: Numbers no two rows alike. Spark would bring all rows together to count them.
_NUMBER = {"trino": "row_number() over ()", "spark": "monotonically_increasing_id()"}
_TIME = re.compile(r"(time|timestamp)\((\d+)\)( with time zone)?")


def copy_spine(engine: SqlEngine, source: str, table: str, number: str, named: str) -> None:
    """Create a table of a query's rows, each with a number of its own.

    Args:
        source: SQL of the rows.
        table: the dotted name to create.
        number: the name of the column of numbers.
        named: what errors call the source.

    Raises:
        DataError: a column has no name, stands twice, or is of a type that cannot be kept.
    """
    columns = engine.columns(source)
    items = ", ".join(_item(engine, name, kind, named) for name, kind in columns.items())
    engine.run(
        f"create table {engine.names.table(table)} as "
        f"select {_NUMBER[engine.names.engine]} as {number}, {items} from (\n{source}\n) as spine"
    )


def _item(engine: SqlEngine, name: str, kind: str, named: str) -> str:
    column = engine.names.column(name)
    if not name or name.startswith("_col"):
        raise DataError(
            "a column has no name", where=named, hint="give it one: select expression as name"
        )
    wider = _WIDER[engine.names.engine].get(kind)
    if wider is not None:
        return f"cast({column} as {wider}) as {column}"
    if kind == "void" or kind.startswith("interval"):
        raise DataError(
            f"column {name!r} is of type {kind}, which a table cannot have",
            where=named,
            hint="cast it, or leave it out",
        )
    if kind.startswith("char("):
        return f"cast({column} as varchar) as {column}"
    precise = _TIME.fullmatch(kind)
    if precise is not None and int(precise[2]) > 6:
        raise DataError(
            f"column {name!r} is a {kind}, finer than a microsecond",
            where=named,
            hint="cast it to a precision of 6, rounded the way that you mean",
        )
    return column
