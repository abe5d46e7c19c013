"""How far back a view reads of each leaf, and which views a table's retention refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from feature_specs.compile import compile_view
from feature_specs.compile.variants.find_reach import find_reach
from feature_specs.errors import SpecError
from feature_specs.leaf import Leaf
from feature_specs.retention import Retention, check_retention, parse_retention
from feature_specs.view import FeatureView
from tests.feature_specs.worlds import DIMS, EVENTS, LATE, VERSIONS

DAY = 86_400_000_000


def reach(sql: str, leaves: tuple[Leaf, ...] = (EVENTS,), **more: Any) -> dict[str, int]:
    return find_reach(compile_view(FeatureView("v", sql, ("k",), **more), leaves).draft)


@pytest.mark.parametrize(
    ("sql", "back"),
    [
        ("from events where ts > now() - interval '7' day", 7 * DAY - 1),
        ("from events where ts >= now() - interval '7 days'", 7 * DAY),
        ("from events where now() - interval '7' day < ts and x > 3", 7 * DAY - 1),
        ("from events where ts between now() - interval '7 days' and now()", 7 * DAY),
        ("from events where now() - ts < interval '2' day", 2 * DAY - 1),
        ("from events where ts > now() - interval '3' month", 93 * DAY),
        ("from events where ts >= now() - interval '1' year", 366 * DAY),
        ("from events where ts >= date_trunc('month', now())", 31 * DAY),
        ("from events where ts >= date_trunc('day', now()) - interval '7' day", 8 * DAY),
        ("from (select k, x, ts as then_ from events) e where then_ > now() - interval '7' day",
         7 * DAY - 1),
        ("from (select k, ts from events union all select k, ts from events where x > 3) u "
         "where ts > now() - interval '4' day", 4 * DAY - 1),
    ],
)  # fmt: skip
def test_a_bound_by_the_clock_is_how_far_back_a_view_reads(sql: str, back: int) -> None:
    assert reach(f"select k, count(*) as n {sql} group by k") == {"events": back}


@pytest.mark.parametrize(
    "query",
    [
        "select k, count(*) filter (where ts > now() - interval '7' day) as n from events group by k",
        "select k, count(*) as n from events where ts > now() - interval '7' day or x > 3 group by k",
        "select k, count(*) as n from events where ts < now() - interval '7' day group by k",
        "select k, count(*) as n from events group by k having max(ts) > now() - interval '7' day",
        "select k, count(*) as n from (select k, ts, row_number() over (partition by k order by ts, x)"
        " as r from events) e where ts > now() - interval '7' day group by k",
        "select a.k, count(b.k) as n from events a left join events b on a.k = b.k "
        "and a.ts > now() - interval '7' day where b.ts > now() - interval '7' day group by a.k",
    ],
)
def test_of_all_else_the_whole_past_may_count(query: str) -> None:
    assert reach(query) == {}


def test_of_several_scans_the_furthest_counts() -> None:
    met = "select a.k, count(b.k) as n from events a left join events b on a.k = b.k and b.ts > now() "
    assert reach(met + "- interval '5' day where a.ts > now() - interval '2' day group by a.k") == {
        "events": 5 * DAY - 1
    }
    absent = (
        "select k, count(*) as n from events a where ts > now() - interval '2' day and not exists "
        "(select 1 from events b where b.k = a.k and b.ts > now() - interval '9' day and b.x > 5) "
    )
    assert reach(absent + "group by k") == {"events": 9 * DAY - 1}


def test_a_late_row_is_bounded_by_either_of_its_times() -> None:
    for time in ("ts", "loaded"):
        found = reach(
            f"select k, count(*) as n from {LATE.name} where {time} > now() - interval '1' day group by k",
            (LATE,),
        )
        assert found == {LATE.name: DAY - 1}


def test_a_history_reads_as_far_back_as_its_ttl() -> None:
    plain = "select k, ts, x from events"
    assert reach(plain, event_time="ts", ttl=timedelta(days=3)) == {"events": 3 * DAY}
    assert reach(plain, event_time="ts") == {}
    sums = "select k, ts, sum(x) over (partition by k order by ts, x) as x from events"
    assert reach(sums, event_time="ts", ttl=timedelta(days=3)) == {}


def test_versions_that_ended_are_read_by_nobody() -> None:
    found = reach("select k, max(price) as x from versions group by k", (VERSIONS,))
    assert found == {"versions": 0}


def test_static_tables_have_no_past_to_bound() -> None:
    found = reach(
        "select e.k, sum(e.x * d.weight) as n from events e left join dims d on d.k = e.k "
        "where ts > now() - interval '4' day group by e.k",
        (EVENTS, DIMS),
    )
    assert found == {"events": 4 * DAY - 1}


def test_years_and_months_are_kept_at_their_longest() -> None:
    def days(text: str) -> int:
        return parse_retention(text, field="meta.retention", where="x").days

    assert [days(t) for t in ("3 years", "36 months", "1 month", "90 days", "2 weeks")] == [
        1098, 1098, 31, 90, 14,
    ]  # fmt: skip
    for text, said in (("5 hours", "a day at least"), ("soon", "not a duration")):
        with pytest.raises(SpecError, match=said):
            days(text)


def test_a_view_that_reads_further_back_is_refused_with_what_to_write() -> None:
    kept = {"raw.events": Retention(("ts",), 7 * DAY)}
    check_retention("v", "v.sql", kept, {"raw.events": 7 * DAY})
    with pytest.raises(SpecError) as longer:
        check_retention("v", "v.sql", kept, {"raw.events": 8 * DAY})
    assert str(longer.value) == (
        "v.sql: feature view 'v' reads 8 days back of raw.events, which keeps its rows for 7 days "
        "(meta.retention): its values would change when older ones are removed. Hint: bound it where "
        "the table is read, as in `where ts > current_timestamp - interval '7' day`, or keep rows longer"
    )
    with pytest.raises(SpecError, match=r"reads all the past of raw\.events.*may have a ttl"):
        check_retention("v", "v.sql", kept, {})
