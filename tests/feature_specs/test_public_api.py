"""The public API by itself: what a user without a project writes."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import FeatureView, Leaf, compile_service, compile_view
from feature_specs.errors import ForebayError, SpecError
from feature_specs.view import FeatureReference

TZ = "TIMESTAMP WITH TIME ZONE"
LEAF = Leaf("events", {"userId": "VARCHAR", "ts": TZ, "Amount": "INTEGER"}, event_time="ts")
SQL = 'select userId, count(*) as N, sum(Amount) as "Total Amount" from events group by userId'


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute(f'create table events ("userId" varchar, ts {TZ}, "Amount" integer)')
    opened.execute("insert into events values ('a', '2024-01-01 00:00+00', 3)")
    opened.execute(
        "create table spine as select 'a' as \"userId\", timestamptz '2024-01-02 00:00+00' as \"ts\""
    )
    return opened


def names(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return [d[0] for d in connection.execute(sql).description or []]


def test_columns_keep_the_names_that_the_author_wrote(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    view = compile_view(FeatureView("spending", SQL, ["userId"]), [LEAF])
    assert names(connection, view.point_in_time()) == ["userId", "ts", "N", "Total Amount"]
    at = datetime(2024, 1, 2, tzinfo=UTC)
    assert names(connection, view.as_of(at)) == ["userId", "N", "Total Amount"]
    assert names(connection, compile_service([view])) == [
        "userId", "ts", "spending__N", "spending__Total Amount",
    ]  # fmt: skip
    chosen = compile_service([view], [FeatureReference("spending", "N")])
    assert connection.execute(chosen).fetchall()[0][2:] == (1,)


def test_a_changelog_may_be_a_mapping() -> None:
    columns = {"id": "INTEGER", "at": TZ, "gone": "BOOLEAN", "x": "INTEGER"}
    said = Leaf("log", columns, event_time="at", changelog={"key": ["id"], "deleted": "gone"})  # type: ignore[arg-type]
    assert said.role == "changelog"
    view = compile_view(FeatureView("v", "select id, x from log", ["id"]), [said])
    assert "log" in view.point_in_time()
    with pytest.raises(SpecError, match="a key and a delete flag"):
        Leaf("log", columns, event_time="at", changelog={"key": ["id"]})  # type: ignore[arg-type]


def test_the_online_variant_says_what_a_lookup_reads() -> None:
    sql = "select k, max(ts) as last, epoch(current_timestamp - max(ts)) * {{ request('w', 'double') }} as r from e group by k"
    leaf = Leaf("e", {"k": "VARCHAR", "ts": TZ}, event_time="ts")
    online = compile_view(FeatureView("v", sql, ["k"]), [leaf]).online()
    assert (online.entities, online.stored) == (("k",), ("last",))
    assert online.expressions["last"] is None and online.expressions["r"] is not None
    assert [r.name for r in online.requests] == ["w"]
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute(
        "create table stored as select 'a' as k, timestamptz '2024-01-01 00:00+00' as last"
    )
    at = datetime(2024, 1, 1, 0, 0, 10, tzinfo=UTC)
    ((_, _, value),) = opened.execute(online.read, {"as_of": at, "w": 2.0}).fetchall()
    assert value == 20.0


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("select k, {{ ref('x') }} as r from e group by k", "Jinja"),
        ("select k, unnest([1, 2]) as u from e", "several rows of one entity"),
        ("select k, count(*) as n from e join e as f on e.ts = f.ts group by k", "ambiguous"),
        ("select k, count(*) + request('w') as r from e group by k", "a name and a type"),
        ("select k, count(*) + request('w', 'dubble') as r from e group by k", "is not a type"),
        (
            "select k, count(*) filter (where request('w', 'double') > 1) as r from e group by k",
            "request",
        ),
    ],
)
def test_what_cannot_be_is_refused(sql: str, what: str) -> None:
    with pytest.raises(ForebayError, match=what):
        compile_view(
            FeatureView("v", sql, ["k"]), [Leaf("e", {"k": "VARCHAR", "ts": TZ}, event_time="ts")]
        )


def test_a_cte_does_not_hide_the_table_that_a_model_reads() -> None:
    """The CTE has the name of a table that the model in its place reads too."""
    sql = (
        "with events as (select k, x + 100 as x from other) "
        "select e.k, sum(e.x) as s from stg e left join events o on o.k = e.k group by e.k"
    )
    leaves = [
        Leaf("events", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER"}, event_time="ts"),
        Leaf("other", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER"}, event_time="ts"),
    ]
    models = {"stg": "select k, x from events"}
    view = compile_view(FeatureView("v", sql, ["k"], models=models), leaves)
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute(
        "create table events as select 'a' as k, timestamptz '2024-01-01 00:00+00' as ts, 1 as x"
    )
    opened.execute(
        "create table other as select 'a' as k, timestamptz '2024-01-01 00:00+00' as ts, 7 as x"
    )
    at = datetime(2024, 1, 2, tzinfo=UTC)
    assert opened.execute(view.as_of(at)).fetchall() == [("a", 1)]
    opened.execute("create table spine as select 'a' as k, timestamptz '2024-01-02 00:00+00' as ts")
    assert opened.execute(view.point_in_time()).fetchall()[0][-1] == 1
    assert opened.execute(view.point_in_time(lowering="decorrelated")).fetchall()[0][-1] == 1


def test_a_table_may_gain_columns_between_steps(connection: duckdb.DuckDBPyConnection) -> None:
    view = compile_view(FeatureView("spending", SQL, ["userId"]), [LEAF])
    state = view.incremental()

    def run(statements: tuple[str, ...], at: datetime) -> list[tuple[object, ...]]:
        for sql in statements:
            connection.execute(sql, {"as_of": at} if "$as_of" in sql else None)
        return sorted(connection.execute(state.read).fetchall())

    assert run(state.create, datetime(2024, 1, 2, tzinfo=UTC)) == [("a", 1, 3)]
    connection.execute("alter table events add column note varchar")
    connection.execute("insert into events values ('a', '2024-01-03 00:00+00', 4, 'x')")
    after = datetime(2024, 1, 4, tzinfo=UTC)
    assert run(state.step, after) == [("a", 2, 7)]
    assert run(state.step, after) == [("a", 2, 7)]
    connection.execute("delete from events where note is null")
    assert run(state.step, after) == [("a", 1, 4)]
