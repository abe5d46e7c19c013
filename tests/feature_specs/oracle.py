"""F by brute force, for tests: cut copies of the tables, the clock as a literal, the author's SQL.

It shares no code with the compiler's passes, only the declarations that both read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import duckdb

from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.relations import tune

Key: TypeAlias = tuple[Any, ...]
Row: TypeAlias = tuple[Any, ...]
Features: TypeAlias = dict[str, Any]

_CLOCK = re.compile(r"\bcurrent_timestamp\b(\(\))?", re.IGNORECASE)
NOW_FUNCTIONS = re.compile(r"\bnow\(\)", re.IGNORECASE)
_DATE = re.compile(r"\bcurrent_date\b", re.IGNORECASE)
_FIRST_SELECT = re.compile(r"\bselect\b", re.IGNORECASE)


def literal(moment: datetime) -> str:
    """An instant as SQL, to the microsecond."""
    return f"timestamptz '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00'"


def connect() -> duckdb.DuckDBPyConnection:
    """An empty in-memory DuckDB with the settings that every connection of ours has."""
    connection = duckdb.connect()
    tune(connection)
    connection.execute("set threads = 1")
    return connection


def fill(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: Mapping[str, str],
    rows: Sequence[Row],
) -> None:
    """Create a table with these rows."""
    listed = ", ".join(f'"{c}" {kind}' for c, kind in columns.items())
    connection.execute(f"create or replace table {name} ({listed})")
    add(connection, name, columns, rows)


def add(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: Mapping[str, str],
    rows: Sequence[Row],
) -> None:
    """Append rows to a table."""
    if rows:
        one = "(" + ", ".join("?" * len(columns)) + ")"
        values = [v for row in rows for v in row]
        connection.execute(f"insert into {name} values {', '.join([one] * len(rows))}", values)


@dataclass
class Oracle:
    """F(D, t) of one view over tables ``raw_<leaf>`` of a connection of its own.

    Attributes:
        sql: the author's query; where the clock at reading differs from the clock of the windows
            (a lag), the former is spelled ``now()`` and the latter ``current_timestamp``.
        visible: for a history view over one late leaf: rank ties by when rows became visible.
    """

    view: FeatureView
    leaves: Sequence[Leaf]
    sql: str
    connection: duckdb.DuckDBPyConnection = field(default_factory=connect)
    visible: bool = False

    def load(self, leaf: Leaf, rows: Sequence[Row]) -> None:
        """Make ``rows`` the whole of a leaf."""
        fill(self.connection, f"raw_{leaf.name}", leaf.columns, rows)

    def at(
        self,
        t: datetime,
        *,
        lag: timedelta = timedelta(),
        requests: Mapping[str, float | None] | None = None,
        where: str | None = None,
    ) -> dict[Key, Features]:
        """Features of every entity at ``t``.

        Args:
            lag: how far behind ``t`` the leaves and the windows stand.
            requests: values that the caller sends.
            where: which raw rows matter for the keys asked, over columns that all leaves have.
        """
        for leaf in self.leaves:
            self.connection.execute(
                f"create or replace table {leaf.name} as {self._cut(leaf, t - lag, where)}"
            )
        for name, value in (requests or {}).items():
            self.connection.execute(f"set variable forebay_request_{name} = ?", [value])
        result = self.connection.execute(self._bound(t, t - lag))
        names = [d[0] for d in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        return self._answers(rows, t)

    def _bound(self, t: datetime, cut_at: datetime) -> str:
        sql = NOW_FUNCTIONS.sub(literal(t), self.sql)
        sql = _CLOCK.sub(literal(cut_at), sql)
        sql = _DATE.sub(f"cast({literal(cut_at)} as date)", sql)
        if self.visible:
            sql = _FIRST_SELECT.sub("select oracle_visible, ", sql, count=1)
        return sql

    def _answers(self, rows: list[dict[str, Any]], t: datetime) -> dict[Key, Features]:
        by_key: dict[Key, list[dict[str, Any]]] = {}
        for row in rows:
            key = tuple(row[e] for e in self.view.entities)
            if None not in key:
                by_key.setdefault(key, []).append(row)
        event_time = self.view.event_time
        answers: dict[Key, Features] = {}
        for key, group in by_key.items():
            if event_time is None:
                assert len(group) == 1, f"two rows for {key}"
                answers[key] = self._features(group[0])
                continue
            dated = [row for row in group if row[event_time] is not None]
            if dated:
                best = max(dated, key=self._rank)
                answers[key] = self._features(best)
                if self.view.ttl is not None and t - best[event_time] > self.view.ttl:
                    answers[key] = dict.fromkeys(answers[key])
        return answers

    def _rank(self, row: dict[str, Any]) -> list[tuple[bool, Any]]:
        assert self.view.event_time is not None
        first = [self.view.event_time, *self.view.tie_break]
        first += ["oracle_visible"] if self.visible else []
        names = first + [n for n in row if n not in first and n not in self.view.entities]
        return [(row[n] is not None, row[n]) for n in names]

    def _features(self, row: dict[str, Any]) -> Features:
        plain = {*self.view.entities, self.view.event_time, "oracle_visible"}
        return {name: value for name, value in row.items() if name not in plain}

    def _cut(self, leaf: Leaf, t: datetime, where: str | None) -> str:
        now = literal(t)
        tests = [where] if where else []
        visible = "null"
        if leaf.event_time is not None:
            happened = _instant(leaf, leaf.event_time)
            strictly = self.view.boundary == "exclusive"
            tests.append(f"{happened} < {now}" if strictly else f"{happened} <= {now}")
            visible = happened
            if leaf.loaded_at is not None and leaf.visibility != "event":
                loaded = _instant(leaf, leaf.loaded_at)
                tests.append(f"{loaded} <= {now}")
                step = " + interval 1 microsecond" if strictly else ""
                visible = (
                    f"case when {loaded} > {happened}{step} then {loaded} else {happened}{step} end"
                )
        if leaf.valid_from is not None:
            begun = _instant(leaf, leaf.valid_from)
            tests.append(f"{begun} <= {now}")
            if leaf.valid_to is not None:
                tests.append(_in_force(leaf, begun))
                if leaf.visibility != "history":
                    tests.append(_in_force(leaf, now))
        columns = ", ".join(self._column(leaf, c, now) for c in leaf.columns)
        also = f", {visible} as oracle_visible" if self.visible else ""
        cut = f"select {columns}{also} from raw_{leaf.name} where {' and '.join(tests) or 'true'}"
        if leaf.changelog is None:
            return cut
        keys = " and ".join(f'later."{k}" is not distinct from c."{k}"' for k in leaf.changelog.key)
        ranks = [leaf.event_time, "oracle_seen", *(c for c in leaf.columns if c != leaf.event_time)]
        equal, greater = "true", []
        for name in ranks:
            mine, other = f'c."{name}"', f'later."{name}"'
            more = f"{other} is not null and ({mine} is null or {other} > {mine})"
            greater.append(f"({equal} and {more})")
            equal += f" and {other} is not distinct from {mine}"
        return (
            f"with cut as (select distinct *, {visible} as oracle_seen from ({cut}) as cut) "
            "select * exclude (oracle_seen) from cut as c where coalesce(not c."
            f'"{leaf.changelog.deleted}", true) and not exists (select 1 from cut as later '
            f"where {keys} and ({' or '.join(greater)}))"
        )

    def _column(self, leaf: Leaf, column: str, now: str) -> str:
        if column == leaf.valid_to:
            return f'case when not {_in_force(leaf, now)} then "{column}" end as "{column}"'
        if column in leaf.known_later:
            known = _instant(leaf, leaf.known_later[column])
            return f'case when {known} <= {now} then "{column}" end as "{column}"'
        return f'"{column}"'


def _instant(leaf: Leaf, column: str) -> str:
    kind = leaf.columns[column].lower()
    if kind == "date":
        later = "" if leaf.date_visible == "start" else " + interval 1 day"
        return f"timezone('UTC', \"{column}\"::timestamp{later})"
    if kind == "timestamp":
        return f"timezone('{leaf.timezone}', \"{column}\")"
    return f'"{column}"'


def _end(leaf: Leaf) -> str:
    assert leaf.valid_to is not None
    end = _instant(leaf, leaf.valid_to)
    if leaf.valid_to_open is None:
        return end
    return f"nullif({end}, timestamptz '{leaf.valid_to_open}')"


def _in_force(leaf: Leaf, moment: str) -> str:
    """Whether a version has not ended at a moment: a version without an end never has."""
    assert leaf.valid_to is not None and leaf.valid_from is not None
    end = _end(leaf)
    if not leaf.valid_to_inclusive:
        return f"({end} is null or {moment} < {end})"
    if leaf.columns[leaf.valid_to].lower() != "date":
        return f"({end} is null or {moment} <= {end})"
    # Where days are known when they are over, the day that counts is yesterday.
    begins = leaf.columns[leaf.valid_from].lower()
    behind = 1 if begins == "date" and leaf.date_visible == "end" else 0
    day = f"cast(timezone('UTC', {moment}) - interval {behind} day as date)"
    return f'({end} is null or {day} <= "{leaf.valid_to}")'


def same(actual: Any, expected: Any, scale: float) -> bool:
    """Equal: exact types exactly; floats within 1e-9 of ``scale``, the sum of absolute values.

    Lists, structs and maps part by part, since a NaN in one of them is the same too. Arrays of a
    fixed size, which are tuples, are lists in statements of ours.
    """
    if isinstance(expected, float) and isinstance(actual, float):
        if expected != expected or actual != actual:
            return expected != expected and actual != actual
        return actual == expected or abs(actual - expected) <= 1e-9 * scale
    if isinstance(actual, (list, tuple)) and isinstance(expected, (list, tuple)):
        pairs = zip(actual, expected, strict=False)
        return len(actual) == len(expected) and all(same(a, e, scale) for a, e in pairs)
    if isinstance(actual, dict) and isinstance(expected, dict):
        # Of a struct the order of fields counts, of a map that of its entries.
        pairs = zip(actual.values(), expected.values(), strict=False)
        return list(actual) == list(expected) and all(same(a, e, scale) for a, e in pairs)
    return type(actual) is type(expected) and bool(actual == expected)


def differences(
    actual: Mapping[str, Any], expected: Mapping[str, Any], scale: float
) -> dict[str, tuple[Any, Any]]:
    """Feature to (actual, expected) where they are not the same."""
    names = [*expected, *(n for n in actual if n not in expected)]
    missing = object()
    return {
        n: (actual.get(n, missing), expected.get(n, missing))
        for n in names
        if not same(actual.get(n, missing), expected.get(n, missing), scale)
    }


def magnitude(tables: Sequence[Sequence[Row]]) -> float:
    """The sum of absolute values of all numbers in some tables, at least 1."""
    numbers = [
        abs(float(v))
        for rows in tables
        for row in rows
        for v in row
        if isinstance(v, (int, float)) and not isinstance(v, bool)
    ]
    return max(1.0, sum(numbers))
