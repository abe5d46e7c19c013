"""Which features a change reaches: never too few, and not all of them where it can be proved."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from feature_specs.compile import compile_view
from feature_specs.view import FeatureView
from forebay.compilation.compile_parts import parts_of
from lineage.compare_definitions import changed_features
from tests.feature_specs.worlds import EVENTS

pytestmark = pytest.mark.slow

QUERY = """
with a as (select k, count(*) as n, sum(x) as s from events group by k),
  b as (select k, max(x) as hi, min(x) as lo from events where x > 3 group by k),
  c as (select k as other, x + 1 as more from events)
select a.k, a.n, a.s + 1 as s1, b.hi, b.hi - b.lo as wide
from a left join b on a.k = b.k
"""


@cache
def definition(sql: str) -> Any:
    view = FeatureView("v", sql, ("k",))
    return parts_of(compile_view(view, (EVENTS,))).definition


def changed(old: str, new: str, query: str = QUERY) -> tuple[str, ...]:
    assert old in query
    return changed_features(definition(query), definition(query.replace(old, new)))


ALL = ("n", "s1", "hi", "wide")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("x > 3", "x > 4", ("hi", "wide")),
        ("min(x)", "min(x + 1)", ("wide",)),
        ("sum(x)", "sum(x + 1)", ("s1",)),
        ("a.s + 1", "a.s + 2", ("s1",)),
        ("from events where x > 3 group", "from events group", ("hi", "wide")),
        # A filter of the rows on the left decides which entities there are.
        ("sum(x) as s from events", "sum(x) as s from events where x > 1", ALL),
        # An inner join lets the right side decide it, and other keys may match twice.
        ("left join", "join", ALL),
        ("on a.k = b.k", "on a.k = b.k and b.hi > 3", ALL),
        ("a.k = b.k\n", "a.k = b.k where b.hi is null\n", ALL),
    ],
)
def test_what_a_change_reaches(old: str, new: str, expected: tuple[str, ...]) -> None:
    assert changed(old, new) == expected


@pytest.mark.parametrize(
    "query",
    [
        QUERY.replace("left join", "join"),
        QUERY.replace("a.k = b.k", "a.k = b.k and b.hi > 0").replace("group by k),\n  c", "group by k, x),\n  c"),
        QUERY.replace("a.k = b.k", "a.k = b.k where b.hi > 0"),
        QUERY.replace("a.k = b.k", "a.k = b.k and a.n = b.lo").replace("from a", "from b as z join a on a.k = z.k"),
    ],
)  # fmt: skip
def test_joins_that_prove_nothing(query: str) -> None:
    assert changed("x > 3", "x > 4", query) == ALL


def test_a_column_reaches_through_other_subqueries() -> None:
    query = """
        with a as (select k, x, x * 2 as y from events),
          b as (select k, sum(y) as total, max(x) as top from a group by k)
        select k, total, top, total / 2 as half from b
    """
    assert changed("x * 2", "x * 3", query) == ("total", "half")
    assert changed("max(x)", "max(x + 1)", query) == ("top",)
    kept = query.replace("from a group", "from a where y > 1 group")
    assert changed("x * 2", "x * 3", kept) == ("total", "top", "half")
