"""What is handed to the compiler wrongly is answered by a typed error, before any SQL is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_service, compile_view
from feature_specs.errors import ForebayError, SpecError
from feature_specs.view import FeatureReference

TZ = "TIMESTAMP WITH TIME ZONE"
COLUMNS = {"k": "VARCHAR", "ts": TZ, "loaded": TZ, "x": "INTEGER"}
EVENTS = Leaf("e", COLUMNS, event_time="ts")
LATE = Leaf("e", COLUMNS, event_time="ts", loaded_at="loaded")
STATIC = Leaf("e", COLUMNS, static=True)
SQL = "select k, count(*) as n from e group by k"


def compiled(name: str = "v", leaf: Leaf = EVENTS, sql: str = SQL) -> CompiledView:
    return compile_view(FeatureView(name, sql, ["k"]), [leaf])


def refused(call: Callable[[], object], says: str) -> ForebayError:
    with pytest.raises(ForebayError, match=says) as caught:
        call()
    assert caught.value.what and caught.value.hint and caught.value.where
    return caught.value


@pytest.mark.parametrize("leaves", [(EVENTS, STATIC), (STATIC, EVENTS), (LATE, EVENTS)])
def test_a_leaf_declared_twice_and_differently_is_refused(leaves: tuple[Leaf, Leaf]) -> None:
    view = FeatureView("v", SQL, ["k"])
    error = refused(lambda: compile_view(view, leaves), "'e' is declared twice")
    assert isinstance(error, SpecError)
    assert all(str(leaf.role) in error.what for leaf in leaves)
    again = Leaf('"E"', {c.upper(): t for c, t in COLUMNS.items()}, event_time="TS")
    assert compile_view(view, [EVENTS, again]).certificate.scans


def test_leaves_of_one_compiled_name_are_refused() -> None:
    leaves = [replace(EVENTS, name="raw.e"), replace(EVENTS, name="raw_e")]
    view = FeatureView("v", "select k, count(*) as n from raw.e group by k", ["k"])
    refused(lambda: compile_view(view, leaves), "come out under one name")


@pytest.mark.parametrize("leaves", [(LATE, EVENTS), (EVENTS, LATE), (EVENTS, STATIC)])
def test_views_that_declare_one_leaf_differently_make_no_service(
    leaves: tuple[Leaf, Leaf],
) -> None:
    views = [compiled(f"v{n}", leaf) for n, leaf in enumerate(leaves)]
    error = refused(lambda: compile_service(views), "leaf 'e' is declared differently")
    assert "'v0'" in error.what and "'v1'" in error.what and "fault of" not in error.hint


def test_views_that_know_other_columns_of_a_leaf_make_a_service() -> None:
    few = replace(EVENTS, columns={"k": "VARCHAR", "ts": TZ})
    views = [compiled("a", few), compiled("b", EVENTS, "select k, max(x) as m from e group by k")]
    for order in (views, views[::-1]):
        assert "a__n" in compile_service(order) and "b__m" in compile_service(order)


def test_two_features_under_one_column_name_are_refused() -> None:
    one = compiled("a", sql='select k, count(*) as "B__c" from e group by k')
    other = compiled("a__b", sql="select k, count(*) as c from e group by k")
    for views in ([one, other], [other, one]):
        error = refused(lambda v=views: compile_service(v), "both come out as column")  # type: ignore[misc]
        assert "a.b__c" in error.what and "a__b.c" in error.what
    view = compiled()
    twice = [FeatureReference("v", "n"), FeatureReference("v", "N")]
    refused(lambda: compile_service([view], twice), "listed twice")
    refused(lambda: compiled(sql="select k, max(x) as n, min(x) as N from e group by k"), "two col")


def test_a_lag_may_be_text() -> None:
    view = compiled()
    by_text, by_delta = (
        view.point_in_time(lag=lag) for lag in ("15 minutes", timedelta(minutes=15))
    )
    assert by_text == by_delta != view.point_in_time()
    assert compile_service([view], lag="1h") == compile_service([view], lag=timedelta(hours=1))
    for lag, says in (
        ("soon", "not a duration"),
        ("-5 minutes", "not a duration"),
        (5, "not a duration"),
    ):
        refused(lambda lag=lag: view.point_in_time(lag=lag), says)  # type: ignore[misc]
        refused(lambda lag=lag: compile_service([view], lag=lag), says)  # type: ignore[misc]
    refused(lambda: view.point_in_time(lag=timedelta(seconds=-1)), "after the instant asked")


def test_odd_names_on_the_spine_are_quoted() -> None:
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute(f"create table e (k varchar, ts {TZ}, loaded {TZ}, x integer)")
    opened.execute("insert into e values ('a', '2024-01-01', '2024-01-01', 1)")
    opened.execute(
        'create table "odd "" spine" as select \'a\' as k, timestamptz \'2024-01-02\' as "odd ""q"'
    )
    view = compiled()
    spine, timestamp = '"odd "" spine"', 'odd "q'
    joined = compile_service([view], spine=spine, timestamp=timestamp)
    for sql in (view.point_in_time(spine, timestamp), joined):
        assert [row[-1] for row in opened.execute(sql).fetchall()] == [1]
    assert view.trace(spine, timestamp) is not None


@pytest.mark.parametrize(
    "spine",
    [
        *('odd "spine', "(select 1", "a)", "", "odd name", "labels l", "a, b", "a join b on true"),
        *("select 1 as k", "from labels", "labels; drop table labels", "labels -- all", "order"),
        *("labels where n > 1", "labels union from others", "(from a) (from b)"),
    ],
)
def test_a_spine_that_is_no_relation_is_refused(spine: str) -> None:
    view = compiled()
    refused(lambda: view.point_in_time(spine), "not a relation")
    refused(lambda: compile_service([view], spine=spine), "not a relation")
    refused(lambda: view.trace(spine, "ts"), "not a relation")


@pytest.mark.parametrize("name", ['a"b', "a b", "", "a;--", "a-b", "a.", "it's"])
def test_a_view_has_a_plain_name(name: str) -> None:
    assert isinstance(refused(lambda: FeatureView(name, SQL, ["k"]), "not a plain name"), SpecError)


def test_a_view_says_what_it_can_mean() -> None:
    def view(**options: object) -> FeatureView:
        sql = "select k, ts, x from e"
        return FeatureView("v", sql, **{"entities": ["k"], "event_time": "ts", **options})  # type: ignore[arg-type]

    refused(lambda: view(ttl=5), "not a timedelta")
    refused(lambda: view(ttl=timedelta(seconds=-5)), "no row would ever count")
    refused(lambda: view(entities=["k", "K"]), "named twice")
    assert view(ttl=timedelta()).ttl == timedelta()


def test_a_service_reads_something() -> None:
    refused(lambda: compile_service([]), "reads no feature")
    refused(lambda: compile_service([compiled()], []), "reads no feature")


def test_a_dialect_is_known() -> None:
    view = FeatureView("v", SQL, ["k"])
    error = refused(lambda: compile_view(view, [EVENTS], dialect="postgers"), "not known")
    assert "postgres" in error.hint


def test_a_type_is_one_of_the_dialect() -> None:
    leaf = replace(EVENTS, columns={**COLUMNS, "k": "FOO"}, where="s.yml:3")
    view = FeatureView("v", SQL, ["k"])
    error = refused(lambda: compile_view(view, [leaf], dialect="postgres"), "'FOO', which postgres")
    assert error.where == "s.yml:3"
    error = refused(lambda: compile_view(view, [leaf]), "'FOO', which DuckDB does not have")
    assert error.where == "s.yml:3" and "ENUM" in error.hint
    listed = replace(leaf, columns={**COLUMNS, "k": "ENUM('a', 'b')"})
    assert compile_view(view, [listed]).point_in_time()


@pytest.mark.parametrize("at", ["2024-01-01", datetime(2024, 1, 1), 5])
def test_an_instant_is_an_aware_datetime(at: object) -> None:
    error = refused(lambda: compiled().as_of(at), "the instant")  # type: ignore[arg-type]
    assert "aware datetime" in error.hint
    assert compiled().as_of(datetime(2024, 1, 1, tzinfo=UTC))


def test_a_time_zone_is_known() -> None:
    columns = {"k": "VARCHAR", "ts": "TIMESTAMP"}
    for zone in (
        "UTC",
        "utc",
        "Europe/Berlin",
        "PST",
        "EST",
        "UTC+2",
        "GMT+05:30",
        "US/Pacific-New",
    ):
        assert Leaf("e", columns, event_time="ts", timezone=zone).timezone == zone
    for zone in ("Mars/X", "", "Europe/Berlim", "+05:00"):
        refused(lambda z=zone: Leaf("e", columns, event_time="ts", timezone=z), "no time zone")  # type: ignore[misc]
    with pytest.raises(SpecError, match="Europe/Berlin"):
        Leaf("e", columns, event_time="ts", timezone="Europe/Berlim")


def test_every_zone_of_duckdb_is_known() -> None:
    names = duckdb.connect().execute("select name from pg_timezone_names()").fetchall()
    for (zone,) in names:
        Leaf("e", {"ts": "TIMESTAMP"}, event_time="ts", timezone=zone)
    assert len(names) > 400


def test_a_struct_is_not_spread() -> None:
    leaf = replace(
        EVENTS, columns={**COLUMNS, "st": "STRUCT(a INTEGER, b VARCHAR)", "l": "INTEGER[]"}
    )
    for item in ("unnest(st)", "st.*", "unnest(e.st)"):
        sql = f"select k, max(b) as b from (select k, {item} from e) as u group by k"
        error = refused(lambda sql=sql: compiled(leaf=leaf, sql=sql), "a struct")  # type: ignore[misc]
        assert "st.a as a" in error.hint
    sql = "select k, max(b) as b from (select k, e.st.* from e) as u group by k"
    refused(lambda: compiled(leaf=leaf, sql=sql), "DuckDB does not parse the SQL")
    for item in ("unnest(l) as b", "e.*, 1 as b", "st.b"):
        sql = f"select q as k, max(b) as b from (select k as q, {item} from e) as u group by q"
        assert compiled(leaf=leaf, sql=sql).features


def test_a_bare_column_needs_no_alias() -> None:
    sql = "select k, e.x, ts::date, (loaded) from e qualify row_number() over (partition by k order by ts, x) = 1"
    assert [f.name for f in compiled(sql=sql).features] == ["x", "ts", "loaded"]


def test_nothing_is_said_of_extract(caplog: pytest.LogCaptureFixture) -> None:
    view = compiled(
        sql="select k, extract(hour from max(ts)) as h, extract(hour from now()) as now_h, "
        "max(extract(hour from ts::timestamptz)) as m from e group by k"
    )
    assert view.point_in_time() and view.as_of() and view.incremental() and view.semantic_hash
    assert not caplog.records
