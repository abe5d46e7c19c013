"""The columns by which a query joins a static leaf."""

from __future__ import annotations

import pytest

from feature_specs.compile import compile_view
from feature_specs.compile.leaves.find_join_keys import find_join_keys
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView

EVENTS = Leaf(
    "events",
    {"k": "VARCHAR", "seg": "VARCHAR", "day": "DATE", "x": "INTEGER",
     "ts": "TIMESTAMP WITH TIME ZONE"},
    event_time="ts",
)  # fmt: skip
SEGMENTS = Leaf("segs", {"Seg": "VARCHAR", "day": "DATE", "weight": "INTEGER"}, static=True)
NOW = Leaf("segs", SEGMENTS.columns, written="mutable")
SUM = "select e.k, sum(e.x * s.weight) as w from events e "


@pytest.mark.parametrize("leaf", [SEGMENTS, NOW])
@pytest.mark.parametrize(
    ("sql", "joins"),
    [
        (SUM + "left join segs s on s.seg = e.seg group by e.k", [["seg"]]),
        (SUM + "join segs s on e.seg = s.Seg and s.day = e.day group by e.k", [["seg", "day"]]),
        (SUM + ", segs s where s.seg = e.seg and s.weight > 1 group by e.k", [["seg"]]),
        (SUM + "join (select seg as g, weight from segs) s on e.seg = s.g group by e.k", [["seg"]]),
        ("with s as (select * from segs) " + SUM + "join s on s.seg = e.seg group by e.k", [["seg"]]),
        ("select k, sum(x * weight) as w from events join segs using (seg) group by k", [["seg"]]),
        (
            "select e.k, sum(a.weight + b.weight) as w from events e join segs a on a.seg = e.seg "
            "join segs b on b.day = e.day and b.seg = a.seg group by e.k",
            [["seg"], ["day", "seg"]],
        ),
        # A row a key by its own query, no key at all, and a key that is computed.
        (
            SUM + "join (select seg, max(weight) as weight from segs group by seg) s "
            "on s.seg = e.seg group by e.k",
            None,
        ),
        (SUM + "cross join segs s group by e.k", None),
        (SUM + "join segs s on lower(s.seg) = e.seg and s.weight = 3 group by e.k", None),
        (
            "select k, sum(x) as w from events e "
            "where exists (select 1 from segs s where s.seg = e.seg) group by k",
            None,
        ),
    ],
)  # fmt: skip
def test_joins_by_equality(sql: str, joins: list[list[str]] | None, leaf: Leaf) -> None:
    view = compile_view(FeatureView("v", sql, ("k",)), (EVENTS, leaf))
    assert find_join_keys(view.draft) == ({} if joins is None else {"segs": joins})


def test_what_moves_is_looked_up_by_its_own_rules() -> None:
    moving = Leaf("segs", {**SEGMENTS.columns, "ts": EVENTS.columns["ts"]}, event_time="ts")
    sql = SUM + "join segs s on s.seg = e.seg group by e.k"
    assert find_join_keys(compile_view(FeatureView("v", sql, ("k",)), (EVENTS, moving)).draft) == {}
