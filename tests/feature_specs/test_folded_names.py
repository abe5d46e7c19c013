"""Names are folded as DuckDB folds them: A to Z, and no other letter."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_service, compile_view
from feature_specs.errors import ForebayError
from feature_specs.names import fold_name

pytestmark = pytest.mark.many_cases

TZ = "TIMESTAMP WITH TIME ZONE"
AT = datetime(2024, 1, 2, tzinfo=UTC)
ODD = ("Ärger", "ärger", "İ", "ẞ", "ß", "Σ", "ς", "Ǆ", "Ñandú", "Ünter Maß", "ЖУК", "X", "Ab")


@pytest.mark.parametrize("one", [*ODD, "K", "x"])
@pytest.mark.parametrize("other", [*ODD, "K", "x"])
def test_names_are_one_where_duckdb_takes_them_for_one(one: str, other: str) -> None:
    opened = duckdb.connect()
    opened.execute(f'create table t ("{one}" integer)')
    try:
        opened.execute(f'select "{other}" from t')
        found = True
    except duckdb.Error:
        found = False
    assert (fold_name(one) == fold_name(other)) is found


def _database() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute(
        f'create table e (k varchar, ts {TZ}, "Ärger" integer, "ärger" integer, "Max" integer)'
    )
    opened.execute("insert into e values ('a', '2024-01-01 00:00+00', 3, 5, 7)")
    opened.execute("create table spine as select 'a' as k, timestamptz '2024-01-02 00:00+00' as ts")
    return opened


LEAF = Leaf(
    "e",
    {"k": "VARCHAR", "ts": TZ, "Ärger": "INTEGER", "ärger": "INTEGER", "Max": "INTEGER"},
    event_time="ts",
)

READ = {
    "not read": ("select K, max(mAX) as v from E group by k", (7,)),
    "read": ('select k, max(Ärger) as Ä, max("ärger") as "ä" from e group by k', (3, 5)),
    "a star": ('select k, ts, * exclude (k, ts) from e', (3, 5, 7)),
    "through a subquery": ('select k, max("Ö") as v from (select k, Ärger as Ö, ärger as ö from e) as Ü group by k', (3,)),
    "a CTE and its like": ('with Ä as (select k, Ärger as v from e), ä as (select k, ärger as v from e) '
                           'select Ä.k, max(Ä.v) as a, max(ä.v) as b from Ä join ä on Ä.k = ä.k group by Ä.k', (3, 5)),
}  # fmt: skip


def _values(view: CompiledView, opened: duckdb.DuckDBPyConnection) -> set[tuple[object, ...]]:
    skipped = 2 if view.view.event_time else 1
    return {
        opened.execute(view.point_in_time()).fetchall()[0][2:],
        opened.execute(compile_service([view])).fetchall()[0][2:],
        opened.execute(view.point_in_time(lowering="decorrelated")).fetchall()[0][2:],
        opened.execute(view.as_of(AT)).fetchall()[0][skipped:],
    }


@pytest.mark.parametrize("name", READ)
def test_a_column_with_a_capital_beyond_ascii(name: str) -> None:
    sql, values = READ[name]
    event_time = "Ts" if name == "a star" else None
    view = compile_view(FeatureView("v", sql, ["K"], event_time=event_time), [LEAF])
    assert _values(view, _database()) == {values}
    state, opened = view.incremental(), _database()
    for statement in (*state.create, *state.step):
        opened.execute(statement, {"as_of": AT} if "$as_of" in statement else None)
    assert opened.execute(state.read).fetchall()[0][-len(values) :] == values


def test_columns_keep_the_capitals_that_the_author_wrote() -> None:
    view = compile_view(FeatureView("v", READ["read"][0], ["k"]), [LEAF])
    found = _database().execute(view.point_in_time()).description or []
    assert [d[0] for d in found] == ["k", "ts", "Ä", "ä"]


def test_another_letter_s_case_is_another_column() -> None:
    leaf = Leaf("e", {"k": "VARCHAR", "ts": TZ, "Ärger": "INTEGER"}, event_time="ts")
    with pytest.raises(ForebayError, match="there is no column 'ärger'") as caught:
        compile_view(FeatureView("v", "select k, max(ärger) as v from e group by k", ["k"]), [leaf])
    assert "Ärger" in caught.value.hint


def test_an_entity_beyond_ascii() -> None:
    opened = _database()
    opened.execute(
        "create table spine2 as select 3 as Ärger, timestamptz '2024-01-02 00:00+00' as ts"
    )
    view = compile_view(
        FeatureView("v", "select Ärger, max(Max) as m from e group by Ärger", ["Ärger"]), [LEAF]
    )
    assert opened.execute(view.point_in_time(spine="spine2")).fetchall()[0][2:] == (7,)
