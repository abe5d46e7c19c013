"""Histories of a service share one sorted pass; each gives what it gives alone."""

from __future__ import annotations

import random
from datetime import timedelta

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_service, compile_view
from tests.feature_specs.oracle import Row, connect, fill
from tests.feature_specs.worlds import BASE, QUARTER, TZ, US

pytestmark = pytest.mark.many_cases

_KEYS: dict[str, tuple[list[str], list[str], list[Row]]] = {
    "whole": (["k"], ["BIGINT"], [(1,), (2,), (3,), (None,)]),
    "text": (["k"], ["VARCHAR"], [("a",), ("b",), ("é|1",), (None,)]),
    "two": (["k", "j"], ["VARCHAR", "INTEGER"], [("a", 1), ("a", 2), ("b", 1), ("a", None)]),
}


def _table(name: str, kind: str) -> Leaf:
    names, types, _ = _KEYS[kind]
    columns = {**dict(zip(names, types, strict=True)), "ts": TZ, "loaded": TZ, "x": "INTEGER"}
    late = "loaded" if name == "late" else None
    return Leaf(name, columns, event_time="ts", loaded_at=late)


def _view(name: str, leaf: Leaf, kind: str, **options: object) -> CompiledView:
    keys = _KEYS[kind][0]
    sql = f"select {', '.join(keys)}, ts, x, now() - ts as age from {leaf.name}"
    view = FeatureView(name, sql, keys, event_time="ts", **options)  # type: ignore[arg-type]
    return compile_view(view, leaves=[leaf])


def _views(kind: str) -> list[CompiledView]:
    one, two, late = (_table(name, kind) for name in ("one", "two", "late"))
    keys = ", ".join(_KEYS[kind][0])
    counts = FeatureView(
        "counts", f"select {keys}, count(*) as n from two group by {keys}", keys.split(", ")
    )
    return [
        _view("first", one, kind),
        compile_view(counts, leaves=[two]),
        _view("second", two, kind, boundary="exclusive"),
        _view("again", one, kind, ttl=timedelta(hours=1)),
        _view("arrived", late, kind),
        _view("none", _table("empty", kind), kind),
    ]


@pytest.mark.parametrize("kind", _KEYS)
@pytest.mark.parametrize(
    ("count", "asked_for", "quarters"), [(40, 120, 12), (5, 40, 2), (6, 8, 1), (8, 12, 1)]
)
@pytest.mark.parametrize("seed", range(3))
def test_a_service_gives_what_its_views_give_alone(
    kind: str, seed: int, count: int, asked_for: int, quarters: int
) -> None:
    """Rows of several histories, and of several keys, start at the same few instants."""
    rng, (names, types, keys) = random.Random(seed), _KEYS[kind]
    connection = connect()

    def moment() -> object:
        return BASE + rng.randrange(quarters) * QUARTER + rng.choice([-US, 0 * US, 0 * US, US])

    for name in ("one", "two", "late", "empty"):
        rows = [
            (*rng.choice(keys), moment(), moment(), rng.randrange(9))
            for _ in range(0 if name == "empty" else count)
        ]
        fill(connection, name, _table(name, kind).columns, rows)
    spine = {"id": "INTEGER", **dict(zip(names, types, strict=True)), "ts": TZ}
    asked = [(n, *rng.choice(keys), rng.choice([*[moment()] * 5, None])) for n in range(asked_for)]
    fill(connection, "spine", spine, asked)
    views = _views(kind)
    together = compile_service(views)
    assert together.count("select distinct") == 2, "one pass for histories, one for counts"
    found = sorted(connection.execute(together).fetchall())
    alone: list[list[Row]] = []
    for view in views:
        rows = connection.execute(view.point_in_time()).fetchall()
        alone.append([row[len(spine) :] for row in sorted(rows, key=lambda row: int(row[0]))])
    expected = [
        (*row, *(value for features in each for value in features))
        for row, *each in zip(asked, *alone, strict=True)
    ]
    assert [row[: len(spine)] for row in found] == asked
    assert found == expected
    assert any(row[len(spine)] is not None for row in found)


@pytest.mark.parametrize("kind", _KEYS)
def test_keys_whose_rows_start_at_once(kind: str) -> None:
    """Each spine row asks after the one row of its key, and nothing stands between the keys."""
    names, types, keys = _KEYS[kind]
    connection, leaf = connect(), _table("one", kind)
    whole = [key for key in keys if None not in key]
    fill(connection, "one", leaf.columns, [(*k, BASE, BASE, n) for n, k in enumerate(whole)])
    spine = {"id": "INTEGER", **dict(zip(names, types, strict=True)), "ts": TZ}
    fill(connection, "spine", spine, [(n, *k, BASE + US) for n, k in enumerate(whole)])
    sql = compile_service([_view("one", leaf, kind), _view("again", leaf, kind)])
    found = connection.execute(f'select id, "one__x", "again__x" from ({sql})').fetchall()
    assert sorted(found) == [(n, n, n) for n in range(len(whole))]


def test_spine_types_are_checked_for_each_history() -> None:
    connection = connect()
    leaves = [
        Leaf(name, {"k": kind, "j": "VARCHAR", "ts": TZ, "x": "INTEGER"}, event_time="ts")
        for name, kind in (("whole", "INTEGER"), ("text", "VARCHAR"))
    ]
    views = [
        compile_view(
            FeatureView(
                leaf.name, f"select k, j, ts, x from {leaf.name}", ["k", "j"], event_time="ts"
            ),
            leaves=[leaf],
        )
        for leaf in leaves
    ]
    for leaf in leaves:
        fill(connection, leaf.name, leaf.columns, [])
    for together in (views, views[::-1]):
        for key in ("3", "'03'"):
            spine = f"(select {key} as k, 'x' as j, timestamptz '2024-01-01' as ts)"
            with pytest.raises(duckdb.Error, match="spine column k of"):
                connection.execute(compile_service(together, spine=spine))


def test_many_histories_take_several_passes() -> None:
    connection, leaf = connect(), _table("one", "text")
    fill(connection, "one", leaf.columns, [("a", BASE, BASE, 3)])
    fill(connection, "spine", {"k": "VARCHAR", "ts": TZ}, [("a", BASE + US)])
    sql = compile_service([_view(f"v{n}", leaf, "text") for n in range(30)])
    assert sql.count("select distinct") == 2
    (row,) = connection.execute(sql).fetchall()
    assert row[2::2] == (3,) * 30
