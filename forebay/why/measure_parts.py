"""Measure each source row's part in one value: what the value would be without the row.

Candidates are copied out of the leaves into tables of their own, so that taking a row away and
computing again costs milliseconds. No rule of any aggregate is written here: the view's own statement
says what a row does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from feature_specs.errors import DataError
from feature_specs.quote import quoted
from serving.verify import near_value

_OUT = "forebay_out"
_ROW = "forebay_row"


@dataclass(frozen=True)
class Candidates:
    """Rows of one leaf that may have a part.

    Attributes:
        relation: the leaf, as SQL names it.
        sql: of its rows.
        newest: the column by which the newest come first; empty where there is none.
    """

    relation: str
    sql: str
    newest: str = ""


@dataclass(frozen=True)
class Part:
    """A row and what the value would be without it.

    Attributes:
        shared: without this row alone the value is the same, and it is another one without all such
            rows: another row does what this one does, as where two are the greatest.
    """

    relation: str
    row: Mapping[str, Any]
    without: Any
    shared: bool = False


@dataclass(frozen=True)
class Parts:
    """What a value is made of.

    Attributes:
        parts: rows that have a part. Of all rows that were looked at they are enough: the others may
            be taken away together, and the value stays.
        candidates: rows that the query may read for it; examined: those that were taken away.
    """

    value: Any
    parts: tuple[Part, ...]
    candidates: int
    examined: int


def measure_parts(
    connection: duckdb.DuckDBPyConnection,
    statement: str,
    feature: str,
    leaves: Sequence[Candidates],
    most: int,
) -> Parts:
    """Take each candidate away, the newest first, and compute again.

    The leaves' relations, views until now, show the candidates alone afterwards.

    Args:
        statement: SQL of one row that has the feature's value.
        most: how many rows are taken away at the most.

    Raises:
        DataError: the candidates come to another value than all rows do, in another order.
    """
    connection.execute("set threads = 1")  # one order of rows, and so one sum of floats
    whole = _value(connection, statement, feature)
    rows = _copy(connection, leaves)
    without = _Without(connection, statement, feature)
    value = without()
    if not near_value(whole, value):
        raise DataError(
            f"the value depends on the order of rows, {whole!r} in one and {value!r} in another: its "
            "parts cannot be measured",
            where=feature,
            hint="add up decimals instead of floats, for example sum(amount::decimal(18, 2))",
        )
    examined = list(rows)[:most]
    alone = {row: without([row]) for row in examined}
    parts = [row for row in examined if not near_value(alone[row], value)]
    others = [row for row in examined if near_value(alone[row], value)]
    shared = _needed(without, others, value)
    told = [Part(*rows[row], alone[row]) for row in parts]
    told += [Part(*rows[row], alone[row], shared=True) for row in shared]
    return Parts(whole, tuple(told), len(rows), len(examined))


def _copy(
    connection: duckdb.DuckDBPyConnection, leaves: Sequence[Candidates]
) -> dict[int, tuple[str, dict[str, Any]]]:
    """Number the candidates of all leaves, and let each leaf's relation show those that are not out."""
    connection.execute(f"set variable {_OUT} = cast([] as bigint[])")
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    for number, leaf in enumerate(leaves):
        table = f"memory.main.forebay_candidates_{number}"
        order = f"order by {quoted(leaf.newest)} desc nulls last" if leaf.newest else ""
        connection.execute(
            f"create or replace table {table} as select {len(found)} - 1 + row_number() over ({order})"
            f" as {_ROW}, * from ({leaf.sql}) as candidates"
        )
        result = connection.execute(f"select * from {table} order by {_ROW}")
        names = [d[0] for d in result.description or []][1:]
        for place, *values in result.fetchall():
            found[place] = leaf.relation, dict(zip(names, values, strict=True))
    # Only now: a leaf's candidates may be found by another leaf's rows.
    for number, leaf in enumerate(leaves):
        connection.execute(
            f"create or replace view {leaf.relation} as select * exclude ({_ROW}) "
            f"from memory.main.forebay_candidates_{number} "
            f"where not list_contains(getvariable('{_OUT}'), {_ROW})"
        )
    return found


class _Without:
    """The value without some rows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, statement: str, feature: str) -> None:
        self._connection, self._statement, self._feature = connection, statement, feature

    def __call__(self, rows: Collection[int] = ()) -> Any:
        listed = ", ".join(map(str, rows))
        self._connection.execute(f"set variable {_OUT} = cast([{listed}] as bigint[])")
        return _value(self._connection, self._statement, self._feature)


def _value(connection: duckdb.DuckDBPyConnection, statement: str, feature: str) -> Any:
    result = connection.execute(statement)
    names = [d[0] for d in result.description or []]
    (row,) = result.fetchall()
    return row[names.index(feature)]


def _needed(without: _Without, rows: Sequence[int], value: Any) -> list[int]:
    """Of rows none of which is needed alone, some that are needed once the others are gone."""
    gone: set[int] = set()
    needed: list[int] = []

    def take_away(some: Sequence[int]) -> None:
        if not some:
            return
        if near_value(without([*gone, *some]), value):
            gone.update(some)
        elif len(some) == 1:
            needed.extend(some)
        else:
            half = len(some) // 2
            take_away(some[half:])
            take_away(some[:half])

    take_away(rows)
    return needed


def by_relation(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """The parts of each leaf."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(part.relation, []).append(part)
    return found
