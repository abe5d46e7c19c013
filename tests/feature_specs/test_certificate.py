"""The leak proof looks at the finished statement: one that was tampered with is refused."""

from __future__ import annotations

import re

import pytest
from sqlglot import exp

from feature_specs.compile import CompiledView, compile_view
from feature_specs.compile.proof.certify_bounds import certify_bounds
from feature_specs.compile.sql.time_axis import us_sql
from feature_specs.errors import UnsafeQueryError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.worlds import CHANGES, DIMS, EVENTS, LATE, SEEN_AT_EVENT, TRIPS, VERSIONS

WINDOW = (
    "select k, sum(x) as v, sum(f) as w from events where ts > now() - interval '1' hour group by k"
)


def _compiled(sql: str, *leaves: Leaf, event_time: str | None = None) -> CompiledView:
    return compile_view(FeatureView("v", sql, ("k",), event_time=event_time), leaves)


def _refused(compiled: CompiledView, sql: str) -> None:
    with pytest.raises(UnsafeQueryError, match="without a bound in time"):
        certify_bounds(sql, compiled.leaves, "v.sql")


def _replaced(sql: str, old: str, new: str) -> str:
    """Tampered SQL; how the text is laid out and in which case keywords stand does not matter."""
    plain = " ".join(sql.split())
    pattern = re.compile(re.escape(" ".join(old.split())), re.IGNORECASE)
    assert pattern.search(plain), plain
    return pattern.sub(lambda _: new, plain)


def _axis(table: str, column: str) -> str:
    return us_sql(exp.column(column, table=table, quoted=True))


@pytest.mark.parametrize("lowering", ["stab", "decorrelated"])
@pytest.mark.parametrize("leaf", [EVENTS, LATE, SEEN_AT_EVENT], ids=lambda x: str(x.role))
def test_what_the_compiler_writes_is_certified(leaf: Leaf, lowering: str) -> None:
    compiled = _compiled(WINDOW, leaf)
    certificate = certify_bounds(
        compiled.point_in_time(lowering=lowering), compiled.leaves, "v.sql"
    )
    assert certificate.scans and all(scan.leaf == "events" for scan in certificate.scans)
    assert certificate.lines()


def test_a_cut_that_is_taken_away_or_moved_is_found() -> None:
    compiled = _compiled(WINDOW, LATE)
    sql = compiled.point_in_time(lowering="decorrelated")
    for column in ("ts", "loaded"):
        bound = f'"{column}" <= fb_s.fb_instant'
        _refused(compiled, _replaced(sql, bound, "true"))
        _refused(compiled, _replaced(sql, bound, f'"{column}" >= fb_s.fb_instant'))
        _refused(compiled, _replaced(sql, bound, f"{bound} + interval '1' day"))
        _refused(
            compiled, _replaced(sql, bound, f"\"{column}\" - interval '1' day <= fb_s.fb_instant")
        )
        _refused(compiled, _replaced(sql, bound, f'"{column}" <= "loaded"'))
        _refused(compiled, _replaced(sql, bound, f"({bound} or true)"))
        _refused(compiled, _replaced(sql, bound, f"not {bound}"))


def test_an_interval_join_without_its_bound_is_found() -> None:
    compiled = _compiled(WINDOW, LATE)
    sql = compiled.point_in_time(lowering="stab")
    bound = "r.fb_start0 <= s.fb_t"
    _refused(compiled, _replaced(sql, bound, "true"))
    _refused(compiled, _replaced(sql, bound, "r.fb_start0 >= s.fb_t"))
    _refused(compiled, _replaced(sql, bound, f"{bound} + 86400000000"))


def test_a_start_that_forgets_the_arrival_is_found() -> None:
    compiled = _compiled(WINDOW, LATE)
    sql = compiled.point_in_time(lowering="stab")
    start = f"GREATEST({_axis('events', 'ts')}, {_axis('events', 'loaded')})"
    _refused(compiled, _replaced(sql, start, _axis("events", "ts")))
    _refused(compiled, _replaced(sql, start, start.replace("GREATEST", "LEAST")))


def test_a_frame_that_looks_ahead_is_found() -> None:
    compiled = _compiled("select k, max(x) as v from events group by k", EVENTS)
    sql = compiled.point_in_time(lowering="frames")
    _refused(compiled, _replaced(sql, "CURRENT ROW", "UNBOUNDED FOLLOWING"))


def test_an_as_of_join_without_its_bound_is_found() -> None:
    compiled = _compiled("select k, ts, x from events", LATE, event_time="ts")
    sql = compiled.point_in_time(lowering="latest")
    _refused(compiled, _replaced(sql, "s.fb_t >= w.fb_start0", "s.fb_t <= w.fb_start0"))


@pytest.mark.parametrize(
    ("bound", "without"),
    [
        ("and t.fb_at <= m.fb_place", ""),
        ("max(r.fb_at) as fb_at", "min(r.fb_at) as fb_at"),
        ("(s.fb_t - 3600000000) * 2 + 1", "(s.fb_t + 3600000000) * 2 + 1"),
        ("m.fb_place range between unbounded preceding and current row", "m.fb_place desc"),
        ("select m.fb_mark, m.fb_place, sum", "select m.fb_mark, m.fb_place + 1 as fb_place, sum"),
    ],
)
def test_a_tile_without_its_bound_is_found(bound: str, without: str) -> None:
    compiled = _compiled(WINDOW, EVENTS)
    sql = compiled.point_in_time(lowering="tiles")
    assert certify_bounds(sql, compiled.leaves, "v.sql").scans
    _refused(compiled, _replaced(sql, bound, without))


def test_a_mask_that_is_taken_away_is_found() -> None:
    for leaf, column in ((VERSIONS, "until"), (TRIPS, "delay")):
        compiled = _compiled(f"select k, count({column}) as n from {leaf.name} group by k", leaf)
        sql = compiled.point_in_time(lowering="decorrelated")
        known = leaf.known_later.get(column, column)
        mask = f'CASE WHEN "{known}" <= fb_s.fb_instant THEN "{column}" END AS "{column}"'
        _refused(compiled, _replaced(sql, mask, f'"{column}"'))


def test_a_change_log_is_certified_and_its_cut_is_needed() -> None:
    compiled = _compiled("select k, count(*) as n from changes group by k", CHANGES)
    sql = compiled.point_in_time(lowering="decorrelated")
    _refused(compiled, _replaced(sql, '"ts" <= fb_s.fb_instant', "true"))
    sql = compiled.point_in_time()
    _refused(compiled, _replaced(sql, f"{_axis('leaf', 'ts')} AS fb_start", "0 AS fb_start"))


def test_a_piece_that_shows_its_value_early_is_found() -> None:
    compiled = _compiled("select k, sum(delay) as n from trips group by k", TRIPS)
    sql = compiled.point_in_time(lowering="stab")
    known = f"COALESCE({_axis('leaf', 'ended')}, 2305843009213693952)"
    early = f"GREATEST({_axis('leaf', 'ts')}, {known}) AS fb_start"
    _refused(compiled, _replaced(sql, early, f"{_axis('leaf', 'ts')} AS fb_start"))
    _refused(compiled, _replaced(sql, "CAST(NULL AS INT) AS", '"leaf"."delay" AS'))


@pytest.mark.parametrize(
    ("end", "early"),
    [("then 2305843009213693952", "then 0"), ('case "events"."ts"', "case now()")],
)
def test_an_infinite_instant_that_stands_too_early_is_found(end: str, early: str) -> None:
    compiled = _compiled("select k, max(x) as v from events group by k", EVENTS)
    _refused(compiled, _replaced(compiled.point_in_time(lowering="stab"), end, early))


JOINED = (
    "select e.k, count(*) as n, max(t.delay) as d from events e left join trips t "
    "on t.k = e.k and t.ts > e.ts group by e.k"
)


def test_a_join_that_forgets_one_side_is_found() -> None:
    compiled = _compiled(JOINED, LATE, Leaf("trips", TRIPS.columns, event_time="ts"))
    sql = compiled.point_in_time()
    both = 'GREATEST("l"."fb_start", "r"."fb_start") AS fb_start'
    _refused(compiled, _replaced(sql, both, '"l"."fb_start" AS fb_start'))
    _refused(compiled, _replaced(sql, both, 'LEAST("l"."fb_start", "r"."fb_start") AS fb_start'))
    gap = "GREATEST(l.fb_start, g.fb_reached) AS fb_start"
    _refused(compiled, _replaced(sql, gap, "g.fb_reached AS fb_start"))


def test_a_semi_join_that_forgets_its_match_is_found() -> None:
    compiled = _compiled(
        "select e.k, count(*) as n from events e where exists "
        "(select 1 from trips t where t.k = e.k) group by e.k", LATE, TRIPS
    )  # fmt: skip
    sql = compiled.point_in_time()
    both = "GREATEST(l.fb_start, i.fb_start) AS fb_start"
    _refused(compiled, _replaced(sql, both, "l.fb_start AS fb_start"))


def test_a_rank_over_rows_to_come_is_found() -> None:
    ranked = "select k, x, rank() over (partition by k order by x) as r from events qualify r <= 1"
    compiled = _compiled(f"select k, count(*) as n from ({ranked}) as e group by k", EVENTS)
    sql = compiled.point_in_time()
    _refused(compiled, _replaced(sql, "PARTITION BY fb_part, fb_start", "PARTITION BY fb_part"))
    _refused(compiled, _replaced(sql, "r.fb_start <= g.fb_from", "true"))


def test_a_nested_group_read_apart_from_its_instant_is_found() -> None:
    nested = "select k, s, max(x) as m from events group by k, s"
    compiled = _compiled(f"select k, sum(m) as n from ({nested}) as g group by k", LATE)
    sql = compiled.point_in_time()
    _refused(compiled, _replaced(sql, "s.fb_t AS fb_start", "s.fb_t - 5 AS fb_start"))
    _refused(compiled, _replaced(sql, "r.fb_start0 <= s.fb_t", "true"))


def test_what_is_taken_on_trust_is_printed() -> None:
    sql = "select e.k, count(*) as n from events e join dims d on d.k = e.k group by e.k"
    lines = _compiled(sql, SEEN_AT_EVENT, DIMS).certificate.lines()
    assert any("dims is static" in line for line in lines)
    assert any("seen at its event_time" in line for line in lines)
    assert "certificate:" in _compiled(sql, EVENTS, DIMS).explain()
