"""However few rows DuckDB guesses, no join of a statement compares every row with every other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError
from tests.feature_specs.oracle import connect, fill
from tests.feature_specs.worlds import EVENTS, LATE, VERSIONS

#: The decorrelated lowering meets rows by their instants, whatever it costs.
_BY_KEY = [lowering for lowering in LOWERINGS if lowering != "decorrelated"]
SPINE = {"k": "VARCHAR", "ts": "TIMESTAMPTZ"}


def _joins(plan: Any) -> set[str]:
    nodes = plan if isinstance(plan, list) else [plan]
    found = {n["name"].strip() for n in nodes if "JOIN" in n["name"] or "PRODUCT" in n["name"]}
    return found.union(*(_joins(n["children"]) for n in nodes)) if nodes else found


@pytest.mark.parametrize("rows", [1, 50])
@pytest.mark.parametrize(
    ("sql", "leaf", "event_time"),
    [
        ("select k, ts, x, s from events", EVENTS, "ts"),
        ("select k, ts, x, s from events", LATE, "ts"),
        ("select j as k, ts, x from events", EVENTS, "ts"),
        (
            "select k, count(*) as n, sum(x) as s, max(f) as m from events "
            "where ts > now() - interval '7' day group by k",
            LATE,
            None,
        ),
        ("select k, plan, price from versions", VERSIONS, None),
    ],
)
def test_joins_go_by_key(sql: str, leaf: Leaf, event_time: str | None, rows: int) -> None:
    compiled = compile_view(FeatureView("v", sql, ["k"], event_time=event_time), leaves=[leaf])
    connection = connect()
    time = leaf.event_time or leaf.valid_from
    for name, columns, instant in ((leaf.name, leaf.columns, time), ("spine", SPINE, "ts")):
        fill(connection, name, columns, [])
        connection.execute(
            f"insert into {name} by name select 'a' as k, "
            f"timestamptz '2024-01-01' + i * interval 1 hour as {instant} from range({rows}) as r(i)"
        )
    checked = 0
    for lowering in _BY_KEY:
        try:
            statement = compiled.point_in_time(lowering=lowering)
        except CompileError:
            continue
        (row,) = connection.execute(f"explain (format json) {statement}").fetchall()
        assert _joins(json.loads(row[1])) <= {"HASH_JOIN", "ASOF_JOIN"}, lowering
        checked += 1
    assert checked
