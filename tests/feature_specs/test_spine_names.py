"""A spine's column that is named like a feature, or like one of our own, is refused when read."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_service, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError
from tests.feature_specs.oracle import connect

TZ = "TIMESTAMP WITH TIME ZONE"
LEAF = Leaf("e", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER"}, event_time="ts")
GROUPED = FeatureView(
    "v", 'select k, count(*) as "N", max(x) as "a.b|c (d)" from e group by k', ["k"]
)
HISTORY = FeatureView("v", "select k, ts, x from e", ["k"], event_time="ts")


@pytest.fixture
def database() -> duckdb.DuckDBPyConnection:
    opened = connect()
    opened.execute(f"create table e (k varchar, ts {TZ}, x integer)")
    opened.execute("insert into e values ('a', '2024-01-01 00:00+00', 3)")
    return opened


def _spine(database: duckdb.DuckDBPyConnection, *names: str) -> str:
    """A table, whose columns no statement knows before it runs."""
    values = "".join(f', 7 as "{name}"' for name in names)
    table = f"spine{len(names)}"
    database.execute(
        f"create or replace table {table} as "
        f"select 'a' as k, timestamptz '2024-01-02' as ts{values}"
    )
    return table


def _statements(view: CompiledView, spine: str) -> list[str]:
    found = []
    for lowering in (None, *LOWERINGS):
        try:
            found.append(view.point_in_time(spine, lowering=lowering))
        except CompileError:
            continue
    return found


@pytest.mark.parametrize(
    ("view", "column"),
    [(GROUPED, "N"), (GROUPED, "n"), (GROUPED, "A.B|C (D)"), (HISTORY, "x"), (HISTORY, "X")],
)
def test_a_column_named_like_a_feature(
    view: FeatureView, column: str, database: duckdb.DuckDBPyConnection
) -> None:
    compiled = compile_view(view, [LEAF])
    for sql in _statements(compiled, _spine(database, column)):
        with pytest.raises(duckdb.Error, match="is named like a feature") as caught:
            database.execute(sql).fetchall()
        assert f'spine column "{column}"' in str(caught.value)
    for sql in _statements(compiled, _spine(database, "aXb|c (d)", "N2", "xx")):
        (row,) = database.execute(sql).fetchall()
        assert row[2:5] == (7, 7, 7) and row[5] in (1, 3)


def test_a_column_named_like_a_service_s_feature(database: duckdb.DuckDBPyConnection) -> None:
    compiled = compile_view(GROUPED, [LEAF])
    with pytest.raises(duckdb.Error, match='spine column "V__n" is named like a feature'):
        database.execute(compile_service([compiled], spine=_spine(database, "V__n"))).fetchall()
    (row,) = database.execute(compile_service([compiled], spine=_spine(database, "n"))).fetchall()
    assert row[2:] == (7, 1, 3)


@pytest.mark.parametrize("column", ["fb_row", "FB_T", "fb_start0", "fb_anything", "Fb_", "fb_tx"])
def test_a_column_that_begins_like_our_own(
    column: str, database: duckdb.DuckDBPyConnection
) -> None:
    for view in (GROUPED, HISTORY):
        for sql in _statements(compile_view(view, [LEAF]), _spine(database, column)):
            with pytest.raises(duckdb.Error, match="fb_"):
                database.execute(sql).fetchall()


def test_the_spine_s_instants_may_be_named_like_a_history_s(
    database: duckdb.DuckDBPyConnection,
) -> None:
    (row,) = database.execute(
        compile_view(HISTORY, [LEAF]).point_in_time(_spine(database))
    ).fetchall()
    assert row == ("a", datetime(2024, 1, 2, tzinfo=UTC), 3)
