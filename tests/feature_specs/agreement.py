"""Holding every variant of a view to the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb

from feature_specs.compile import CompiledView, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.oracle import Oracle, Row, connect, differences, fill, magnitude

_KEY_TYPES = {"k": "VARCHAR", "j": "INTEGER", "tailnum": "VARCHAR"}


@dataclass
class World:
    """A view, its data in two databases (the variants' and the oracle's), and a spine."""

    compiled: CompiledView
    oracle: Oracle
    connection: duckdb.DuckDBPyConnection
    spine: Sequence[Row]
    scale: float
    lag: timedelta = timedelta()

    def check_point_in_time(self) -> list[str]:
        """Compare every valid lowering row by row. Returns the lowerings that were valid."""
        checked: list[str] = []
        seen: set[str] = set()
        for lowering in (None, *LOWERINGS):
            try:
                sql = self.compiled.point_in_time(lowering=lowering, lag=self.lag)
            except CompileError:
                assert lowering is not None
                continue
            if sql not in seen:
                self._check(sql, lowering or "chosen")
            seen.add(sql)
            checked.append(lowering or "chosen")
        return checked

    def _check(self, sql: str, lowering: str) -> None:
        result = self.connection.execute(sql)
        names = [d[0] for d in result.description or []]
        rows = sorted(result.fetchall(), key=lambda row: int(row[0]))
        kept = len(self.spine_columns)
        features = [f.name for f in self.compiled.features]
        assert names == [*self.spine_columns, *features]
        assert [row[:kept] for row in rows] == list(self.spine)
        for row in rows:
            actual = dict(zip(features, row[kept:], strict=True))
            expected = self.expected(row)
            wrong = differences(actual, expected, self.scale)
            assert not wrong, f"{lowering}, spine row {row[:kept]}: (actual, expected) = {wrong}"

    @property
    def spine_columns(self) -> list[str]:
        return ["id", *self.oracle.view.entities, "ts", "amount"]

    def expected(self, row: Row) -> dict[str, Any]:
        """The features that the oracle gives a spine row."""
        count = len(self.oracle.view.entities)
        key, t, amount = row[1 : 1 + count], row[1 + count], row[2 + count]
        absent = {f.name: None for f in self.compiled.features}
        if t is None or None in key:
            return absent
        answers = self._at(t, amount)
        return answers.get(key, absent)

    def _at(self, t: datetime, amount: float | None) -> Mapping[tuple[Any, ...], dict[str, Any]]:
        known = self._answers.get((t, amount))
        if known is None:
            requests = {"amount": amount}
            known = self.oracle.at(t, lag=self.lag, requests=requests)
            self._answers[t, amount] = known
        return known

    def __post_init__(self) -> None:
        self._answers: dict[tuple[datetime, float | None], dict[tuple[Any, ...], dict[str, Any]]]
        self._answers = {}

    def check_online(self, instants: Sequence[datetime], age: timedelta) -> None:
        """Compare what a store filled ``age`` ago answers with F(t - age), read-time parts at t."""
        online = self.compiled.online()
        sent = {r.name: 2.5 for r in online.requests}
        self.connection.execute("create schema if not exists online")
        for t in instants:
            self._fill_store(online.store, t - age)
            given = {"as_of": t, **sent}
            named = {n: v for n, v in given.items() if f"${n}" in online.read}
            read = online.read.replace("from stored", "from online.stored")
            result = self.connection.execute(read, named or None)
            self._check_entities(f"online {t}", result, self.oracle.at(t, lag=age, requests=sent))

    def _fill_store(self, store: str, at: datetime) -> None:
        named = {"as_of": at} if "$as_of" in store else None
        self.connection.execute(f"create or replace table online.stored as {store}", named)

    def check_as_of(self, instants: Sequence[datetime]) -> None:
        """Compare F(D, T) for all entities at some instants."""
        for t in instants:
            result = self.connection.execute(self.compiled.as_of(t))
            expected = self.oracle.at(t, requests={"amount": None})
            self._check_entities(f"as-of {t}", result, expected)

    def _check_entities(
        self,
        what: str,
        result: duckdb.DuckDBPyConnection,
        expected: Mapping[tuple[Any, ...], Mapping[str, Any]],
    ) -> None:
        """A row for each entity that is expected, and none for another."""
        names = [d[0] for d in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        actual = {tuple(row[e] for e in self.oracle.view.entities): row for row in rows}
        assert len(actual) == len(rows), f"{what}: a key stands twice"
        assert actual.keys() == expected.keys(), what
        for key, features in expected.items():
            given = {n: actual[key][n] for n in features}
            wrong = differences(given, dict(features), self.scale)
            assert not wrong, f"{what}, {key}: (actual, expected) = {wrong}"


def make_world(
    view: FeatureView,
    leaves: Sequence[Leaf],
    tables: Mapping[str, Sequence[Row]],
    spine: Sequence[Row],
    *,
    sql: str | None = None,
    visible: bool = False,
    lag: timedelta = timedelta(),
    scale: float | None = None,
) -> World:
    """Compile a view and load its data on both sides.

    Args:
        sql: what the oracle runs, where it is spelled unlike the view's own SQL.
        visible: see Oracle.
        scale: the sum of absolute values that floats are judged by; of all the data by default.
    """
    oracle = Oracle(view, leaves, sql or view.sql, visible=visible)
    connection = connect()
    for leaf in leaves:
        oracle.load(leaf, tables[leaf.name])
        fill(connection, leaf.name, leaf.columns, tables[leaf.name])
    columns = {"id": "INTEGER", **{e: _KEY_TYPES[e] for e in view.entities}}
    columns |= {"ts": "TIMESTAMP WITH TIME ZONE", "amount": "DOUBLE"}
    fill(connection, "spine", columns, spine)
    if scale is None:
        scale = magnitude(list(tables.values()))
    return World(compile_view(view, leaves), oracle, connection, spine, scale, lag)
