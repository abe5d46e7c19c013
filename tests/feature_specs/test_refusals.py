"""What has no determined value at a past instant is refused: which error, where, how to fix it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from feature_specs.compile import compile_service, compile_view
from feature_specs.errors import (
    CompileError,
    ForebayError,
    Location,
    SpecError,
    TimeRoleError,
    UnknownNameError,
    UnsafeQueryError,
)
from feature_specs.leaf import Changelog, Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.worlds import DIMS, EVENTS, LATE, LOCAL, TZ, VERSIONS

FILE = "models/v.sql"
REQUEST = "cast(getvariable('forebay_request_amount') as double)"


def _compile(sql: str, *leaves: Leaf, **options: object) -> None:
    view = FeatureView("v", sql, ("k",), file=FILE)
    compile_view(replace(view, **options), leaves or (EVENTS, DIMS))  # type: ignore[arg-type]


def _check(error: ForebayError) -> None:
    assert error.what and error.hint and error.where
    assert "\n" not in str(error) and "Hint: " in str(error)


UNSAFE = {
    "random": ("select k,\n  sum(x) + random() as v\nfrom events group by k", 2, "random"),
    "uuid": ("select k,\n max(uuid()) as v from events group by k", 2, "uuid"),
    "sample": (
        "select k, count(*) as n\nfrom (select * from events using sample 10 rows) group by k",
        None,
        "SAMPLE",
    ),
    "limit": ("select k, x\nfrom events limit 3", None, "LIMIT"),
    "list": ("select k,\n list(x) as v from events group by k", 2, "order of rows"),
    "string_agg": (
        "select k,\n string_agg(s, ',') as v from events group by k",
        2,
        "order of rows",
    ),
    "first": ("select k,\n first(x) as v from events group by k", 2, "order of rows"),
    "any_value": ("select k,\n any_value(x) as v from events group by k", 2, "order of rows"),
    "row_number without an order": (
        "select k, x from (select k, x,\n row_number() over (partition by k) as r "
        "from events) as e where r = 1",
        2,
        "order of rows",
    ),
    "last_value over peers": (
        "select k, max(l) as l from (select k,\n last_value(x) over (partition by k order by ts) as l "
        "from events) as e group by k",
        2,
        "peers",
    ),
    "a list of peers": (
        "select k, max(l) as l from (select k,\n list(x) over (partition by k order by ts) as l "
        "from events) as e group by k",
        2,
        "peers in no order",
    ),
    "a list over no order": (
        "select k, max(l) as l from (select k,\n list(x) over (partition by k rows 2 preceding) as l "
        "from events) as e group by k",
        2,
        "no order is written",
    ),
    "arg_max_null": (
        "select k,\n arg_max_null(x, ts) as v from events group by k",
        2,
        "order of rows",
    ),
    "positional join": (
        "select events.k, count(*) as n from events positional join dims group by events.k",
        None,
        "POSITIONAL",
    ),
    "current_time": (
        "select k, count(*) as n from events\nwhere current_time > time '12:00:00' group by k",
        None,
        "current_time",
    ),
    "age of one argument": ("select k,\n max(age(ts)) as v from events group by k", 2, "age"),
    "unknown function": (
        "select k,\n max(frobnicate(x)) as v from events group by k",
        2,
        "frobnicate",
    ),
    "natural join": (
        "select k, count(*) as n from events natural join dims group by k",
        None,
        "NATURAL",
    ),
    "asof join by names": (
        "select e.k, count(*) as n from events e asof join dims d using (k, x) group by e.k",
        None,
        "ASOF",
    ),
    "recursion": (
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 3) "
        "select k, count(*) as n from events, r group by k",
        None,
        "recursive",
    ),
    "request in WHERE": (
        f"select k, count(*) as n\nfrom events where x > {REQUEST} group by k",
        None,
        "request",
    ),
    "request in FILTER": (
        f"select k, count(*) filter (where x > {REQUEST}) as n from events group by k",
        None,
        "request",
    ),
    "request in HAVING": (
        f"select k, count(*) as n from events group by k having sum(x) > {REQUEST}",
        None,
        "request",
    ),
    "request in an aggregate": (
        f"select k, sum(x * {REQUEST}) as n from events group by k",
        None,
        "request",
    ),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_construct_is_refused_where_it_stands(name: str) -> None:
    sql, line, says = UNSAFE[name]
    with pytest.raises(UnsafeQueryError, match=says) as caught:
        _compile(sql)
    _check(caught.value)
    assert caught.value.file == FILE
    if line is not None:
        assert caught.value.line == line
        assert isinstance(caught.value.where, Location) and caught.value.column is not None


WRONG = {
    "unknown column": ("select k,\n  sum(amuont) as v from events group by k", "amuont"),
    "unknown table": ("select k, sum(x) as v from evnets group by k", "evnets"),
    "a table as it was": (
        "select k, count(*) as n from\n events at (version => 3) group by k",
        r"v.sql:2:7: events AT \(VERSION => 3\) reads a table in another state",
    ),
    "no parse": ("select k, sum(x from events", "parse"),
    "two statements": ("select k, x from dims; select 1", "one SELECT"),
    "no query": ("drop table events", "one SELECT"),
    "no entity": ("select sum(x) as v from events", "entity"),
    "no feature": ("select k from events group by k", "no feature"),
    "one name twice": ("select k, sum(x) as v, max(x) as v from events group by k", "two columns"),
    "a feature without a name": ("select k,\n count(*) from events group by k", "has no name"),
    "a constant without a name": ("select k, 1, sum(x) as v from events group by k", "has no name"),
    "a feature without a name, through a star": (
        "select * from (select k, count(*) from events group by k) as e",
        "through \\* has no name",
    ),
    "an empty name": ('select k, sum(x) as "" from events group by k', "a name is empty"),
    "a quotation mark": ('select k, sum(x) as "a""b" from events group by k', "quotation mark"),
    "PIVOT": ("pivot events on s using count(*) group by k", "^models/v.sql: PIVOT"),
    "PIVOT in parentheses": (
        "select k, n from (pivot events on s using count(*) as n group by k) as p",
        "PIVOT",
    ),
    "PIVOT in FROM": (
        "select k, count(*) as n from events pivot (count(*) for s in ('a', 'b')) group by k",
        "PIVOT",
    ),
    "UNPIVOT": ("unpivot events on x, j", "^models/v.sql: UNPIVOT"),
    "a number of no unit": (
        "select k, count(*) as n from events where ts > now() - 7 group by k",
        "no unit of time",
    ),
    "a struct's star": (
        "select k, max(b) as b from (select k, st.* from events) as e group by k",
        "names no table",
    ),
    "key from the clock": (
        "select cast(current_timestamp as varchar) as k, x from events",
        "depends on the clock",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_query_that_cannot_be_understood_is_refused(name: str) -> None:
    sql, says = WRONG[name]
    with pytest.raises(ForebayError, match=says) as caught:
        _compile(sql)
    _check(caught.value)
    assert isinstance(caught.value, (CompileError, UnknownNameError))
    assert str(caught.value.where).startswith(FILE)


def test_a_misspelt_column_is_answered_with_the_closest_and_its_line() -> None:
    with pytest.raises(CompileError) as caught:
        _compile("select k,\n  sum(weihgt) as v\nfrom dims group by k", DIMS)
    assert caught.value.line == 2 and "weight" in caught.value.hint


def test_a_sample_of_a_model_is_refused() -> None:
    sql = "select k, count(*) as n from m tablesample 10 percent group by k"
    view = FeatureView("v", sql, ("k",), file=FILE, models={"m": "select k, ts from events"})
    with pytest.raises(UnsafeQueryError, match="at random"):
        compile_view(view, [EVENTS])


ROLES = {
    "no role": (Leaf("events", EVENTS.columns), "no declared time role", "event_time"),
    "naive time": (
        Leaf("events", {**EVENTS.columns, "ts": "TIMESTAMP"}, event_time="ts"),
        "without a time zone",
        "timezone",
    ),
    "naive arrival": (
        Leaf(
            "events",
            {**EVENTS.columns, "loaded": "TIMESTAMP"},
            event_time="ts",
            loaded_at="loaded",
        ),
        "without a time zone",
        "timezone",
    ),
    "no time at all": (
        Leaf("events", EVENTS.columns, event_time="x"),
        "not a point in time",
        "TIMESTAMP",
    ),
}


@pytest.mark.parametrize("name", ROLES)
def test_a_leaf_whose_past_is_unknown_is_refused(name: str) -> None:
    leaf, says, hint = ROLES[name]
    with pytest.raises(TimeRoleError, match=says) as caught:
        _compile("select k, count(*) as n from events group by k", replace(leaf, where="s.yml:7"))
    _check(caught.value)
    assert caught.value.file == "s.yml:7" and hint in caught.value.hint


def test_what_is_rewritten_in_place_has_no_past_but_can_be_read_as_it_stands() -> None:
    leaf = Leaf("dims", {"k": "VARCHAR", "weight": "INTEGER"}, written="mutable", where="s.yml:7")
    compiled = compile_view(FeatureView("now", "select k, weight from dims", ("k",)), [leaf])
    connection = duckdb.connect()
    connection.execute("create table dims as select 'a' as k, 3 as weight")
    connection.execute(
        "create table spine as select 'a' as k, timestamptz '2000-01-01 00:00:00+00' as ts"
    )
    at = datetime(2024, 1, 1, tzinfo=UTC)
    assert connection.execute(compiled.as_of(), {"as_of": at}).fetchall() == [("a", 3)]
    assert connection.execute(compiled.at_present()).fetchall()[0][-1] == 3
    assert "rewritten in place" in compiled.explain()
    assert compiled.certificate.assumptions == ("dims is read as it stands",)
    with pytest.raises(TimeRoleError, match="rewritten in place"):
        compile_service([compiled])
    with pytest.raises(TimeRoleError, match="rewritten in place") as caught:
        compiled.point_in_time()
    _check(caught.value)
    assert caught.value.file == "s.yml:7" and "snapshot" in caught.value.hint


def test_roles_that_contradict_each_other_are_refused() -> None:
    columns = {"k": "VARCHAR", "a": TZ, "b": TZ, "gone": "BOOLEAN"}
    for options, says in (
        ({"event_time": "a", "static": True}, "more than one time role"),
        ({"event_time": "a", "valid_from": "b"}, "more than one time role"),
        ({"valid_to": "b"}, "without valid_from"),
        ({"loaded_at": "b"}, "without event_time"),
        ({"changelog": Changelog(("k",), "gone")}, "needs event_time"),
        ({"event_time": "c"}, "does not have"),
        ({"event_time": "a", "known_later": {"k": "z"}}, "does not have"),
    ):
        with pytest.raises(SpecError, match=says) as caught:
            Leaf("t", columns, **options)
        _check(caught.value)


def test_a_view_that_contradicts_itself_is_refused() -> None:
    sql = "select k, sum(x) as v from events group by k"
    with pytest.raises(SpecError, match="ttl"):
        FeatureView("v", sql, ("k",), ttl=timedelta(hours=1))
    with pytest.raises(SpecError, match="no entity"):
        FeatureView("v", sql, ())
    with pytest.raises(SpecError, match="boundary"):
        FeatureView("v", sql, ("k",), boundary="open")  # type: ignore[arg-type]
    with pytest.raises(CompileError, match="event_time"):
        _compile(sql, event_time="ts")
    with pytest.raises(CompileError, match="tie_break"):
        _compile("select k, ts, x from events", event_time="ts", tie_break=("s",))


def test_a_float_is_no_key() -> None:
    view = FeatureView("v", "select f, count(*) as n from events group by f", ("f",), file=FILE)
    with pytest.raises(CompileError, match="a float cannot be a key") as caught:
        compile_view(view, [EVENTS])
    assert caught.value.file == FILE


def test_what_the_engine_refuses_is_refused_at_compile() -> None:
    view = FeatureView("v", "select k, sum(s) as n from events group by k", ("k",), file=FILE)
    with pytest.raises(CompileError, match="DuckDB refuses"):
        compile_view(view, [EVENTS])


def test_a_lowering_that_is_not_valid_or_known_is_refused() -> None:
    view = FeatureView("v", "select k, max(f) as v from events group by k", ("k",), file=FILE)
    compiled = compile_view(view, [LATE])
    with pytest.raises(CompileError, match="not valid here"):
        compiled.point_in_time(lowering="cumulative")
    with pytest.raises(CompileError, match="no lowering"):
        compiled.point_in_time(lowering="magic")
    with pytest.raises(CompileError, match="engine"):
        compiled.point_in_time(engine="oracle")


def test_every_role_that_is_declared_whole_compiles() -> None:
    for leaf in (EVENTS, LATE, VERSIONS, DIMS, LOCAL):
        _compile(f"select k, count(*) as n from {leaf.name} group by k", leaf)
