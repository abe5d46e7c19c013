"""Statements that leak, each in a way that only one rule of the leak proof finds."""

from __future__ import annotations

import pytest
import sqlglot

from feature_specs.compile import compile_view
from feature_specs.compile.draft import Subquery
from feature_specs.compile.proof.certify_bounds import certify_bounds, certify_statement
from feature_specs.compile.sql.statement import Statement
from feature_specs.errors import UnsafeQueryError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.worlds import EVENTS, LATE

WINDOW = "select k, max(x) as v from events where ts > now() - interval '1' hour group by k"


def _refused(sql: str, leaf: Leaf = EVENTS) -> None:
    with pytest.raises(UnsafeQueryError, match="without a bound in time"):
        certify_bounds(sql, (leaf,), "v.sql")


def _statement(sql: str, lowering: str | None, *, event_time: str | None = None) -> str:
    view = FeatureView("v", sql, ("k",), event_time=event_time)
    compiled = compile_view(view, [LATE if event_time else EVENTS])
    written = compiled.point_in_time(lowering=lowering)
    return sqlglot.parse_one(written, dialect="duckdb").sql("duckdb")  # in one layout


def _replaced(sql: str, old: str, new: str) -> str:
    assert old in sql, sql
    return sql.replace(old, new)


def test_the_end_of_a_row_is_no_bound() -> None:
    sql = _statement(WINDOW, "stab")
    _refused(_replaced(sql, "r.fb_start0 <= s.fb_t", "r.fb_end0 <= s.fb_t"))


def _history() -> str:
    view = FeatureView("v", "select k, ts, x from events", ("k",), event_time="ts")
    return compile_view(view, [EVENTS]).point_in_time(lowering="latest")


@pytest.mark.parametrize("instant", ["fb_place", "(fb_place - 1) // 2 + 5", "fb_t + 1"])
def test_a_spine_row_given_another_instant_is_found(instant: str) -> None:
    source = "(select *, 0 as fb_t, 0 as fb_place from fb_spine) as s"
    sql = _replaced(_history(), "select fb_row, fb_t,", f"select fb_row, {instant} as fb_t,")
    _refused(_replaced(sql, "from fb_spine\n  where", f"from {source}\n  where"))


def test_a_row_fetched_whatever_its_start_is_found() -> None:
    _refused(_replaced(_history(), 'fb_spine.fb_t >= "v__features".fb_start0', "true"))


def _lagged(call: str) -> str:
    """A statement in which a window function hands on another row's value."""
    order = "ts, x, d, f, s, ok, j, loaded"
    return _statement(
        f"select k, max(p) as v from (select k, {call} over (partition by k order by {order}) as p "
        "from events) as e group by k",
        "stab",
    )


@pytest.mark.parametrize("call", ["lag(x)", "lag(x ignore nulls)"])
def test_a_lead_in_place_of_a_lag_is_found(call: str) -> None:
    _refused(_replaced(_lagged(call), "LAG(", "LEAD("))


def test_a_lag_that_looks_ahead_is_found() -> None:
    sql = _lagged("lag(x, 2)")
    _refused(_replaced(sql, ", 2) OVER", ", -2) OVER"))


def test_a_group_over_several_spine_rows_is_found() -> None:
    sql = _statement(WINDOW, "stab")
    _refused(_replaced(sql, "GROUP BY s.fb_row", 'GROUP BY s."k"'))


def test_a_rank_over_several_spine_rows_is_found() -> None:
    history = "select k, ts, x from events where ts > now() - interval '1' hour"
    sql = _statement(history, "stab", event_time="ts")
    _refused(_replaced(sql, "PARTITION BY s.fb_row", 'PARTITION BY s."k"'), LATE)


ROWS = "with r as (select k, x, epoch_us(ts) as fb_start from events) "


def test_rows_that_never_meet_the_spine_are_found() -> None:
    _refused(ROWS + "select k, x, fb_start from r")


def test_a_group_that_gathers_later_rows_is_found() -> None:
    _refused(
        ROWS + ", g as (select k, min(fb_start) as fb_start, sum(x) as s from r group by k), "
        "fb_spine as (select 1 as fb_row, 'a' as k, 0 as fb_t) "
        "select s.fb_row, g.s from fb_spine as s join g on g.k = s.k and g.fb_start <= s.fb_t"
    )


def test_a_group_that_is_there_for_its_later_rows_is_found() -> None:
    _refused(
        ROWS
        + ", g as (select k, min(fb_start) as fb_start from r group by k having count(*) > 3), "
        "fb_spine as (select 1 as fb_row, 'a' as k, 0 as fb_t) "
        "select s.fb_row, g.k from fb_spine as s join g on g.k = s.k and g.fb_start <= s.fb_t"
    )


def test_a_subquery_without_a_bound_is_found() -> None:
    _refused(
        ROWS + ", fb_spine as (select 1 as fb_row, 'a' as k, 0 as fb_t) "
        "select s.fb_row, s.k from fb_spine as s where s.fb_t in (select fb_start from r)"
    )


@pytest.mark.parametrize("other", ["v0", "v1", "a__b"])
def test_one_view_is_not_taken_for_another(other: str) -> None:
    """The proof reads pieces under numbers in place of views' names, whatever those are."""
    leaking = "select k, x, epoch_us(ts) as fb_start from events"
    parts = (
        Subquery("fb_spine", "select 1 as fb_row, 'a' as k, 0 as fb_t"),
        Subquery('"a__features"', leaking),
        Subquery(f'"{other}__features"', "select fb_row, k, 1 as x from fb_spine"),
    )
    select = 'select s.fb_row, f.x from fb_spine as s join "a__features" as f on f.k = s.k'
    with pytest.raises(UnsafeQueryError, match="without a bound in time"):
        certify_statement(Statement(parts, select, ('"a__', f'"{other}__')), (EVENTS,), "v.sql")
