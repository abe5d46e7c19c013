"""Find each spine row's last preceding start in several histories, in one sorted pass.

Only keys and instants are sorted, no features. Histories that meet the spine by the same keys share
the pass, so that the spine is sorted once.
"""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.compile.draft import Subquery
from feature_specs.compile.lowerings.lowered import AXIS, ROW, ViewScope
from feature_specs.compile.lowerings.sorted_axis import (
    MARKERS,
    SO_FAR,
    distinct_keys,
    followed,
    numbered_keys,
)


def last_starts(histories: Sequence[ViewScope]) -> list[Subquery]:
    """Subqueries, the last of which is the first history's ``matched``, with a row per spine row.

    Its columns are the spine row's number, its key's number ``fb_key``, and for the n-th history:

    - ``fb_matched<n>``: the last start at or before the instant, perhaps of another key. In that case no
      row of the spine row's own key has that start (it would have been the last one), so that
      fetching by key and start finds none.
    - ``fb_tied<n>``: whether several rows of the key have that start. They are adjacent in the pass,
      and each but the first is placed half a step later.
    - ``fb_first<n>``: whether the previous spine row matched another start or has another key.
    """
    first = histories[0]
    return [
        # A whole number sorts as fast as a number for it.
        distinct_keys(first) if first.whole_key else numbered_keys(first),
        Subquery(first.name("axis"), _axis_sql(histories), shared=False),
        Subquery(first.name("matched"), _matched_sql(first, len(histories))),
    ]


def _axis_sql(histories: Sequence[ViewScope]) -> str:
    """Rows, marked by their history's place counted down from -1, and the spine's markers."""
    first = histories[0]
    ids = first.name("ids")
    parts = [
        f"select i.fb_key, r.{history.rows.starts[0]} * 2 as fb_place, "
        f"cast({_mark(place)} as bigint) as fb_mark "
        f"from {history.name('rows')} as r join {ids} as i on {history.same_key('r', 'i')}"
        for place, history in enumerate(histories)
    ]
    spine, marker = f"{first.name('spine')} as s", f"s.{AXIS} * 2 + 1, s.{ROW}"
    if first.whole_key:
        parts.append(f"select s.{first.keys[0]}, {marker} from {spine}")
    else:
        same = first.same_key("s", "i")
        parts.append(f"select i.fb_key, {marker} from {spine} join {ids} as i on {same}")
    return " union all ".join(parts)


def _matched_sql(first: ViewScope, count: int) -> str:
    # Where there is one history only, what stands at the place of a row is a row of it.
    alike = " and fb_mark_before = fb_mark" if count > 1 else ""
    tied = (
        f"case when fb_key_before = fb_key and fb_place_before = fb_place{alike} then 1 else 0 end"
    )
    lasts = ", ".join(
        f"last_value(case when fb_mark = {_mark(n)} then fb_place + {tied} end ignore nulls) "
        f"over ({SO_FAR}) as fb_last{n}"
        for n in range(count)
    )
    # A start after the spine row belongs to another key, and matches nothing.
    started = "".join(
        f", case when fb_last{n} <= fb_place then fb_last{n} end as fb_at{n}" for n in range(count)
    )
    outputs = "".join(
        f", (fb_at{n} - (fb_at{n} & 1)) // 2 as fb_matched{n}, fb_at{n} & 1 = 1 as fb_tied{n}, "
        f"coalesce(lag(fb_key) over () <> fb_key or lag(fb_at{n}) over () <> fb_at{n}, true) "
        f"as fb_first{n}"
        for n in range(count)
    )
    return (
        f"select {ROW}, fb_key{outputs} from "
        f"(select fb_mark as {ROW}, fb_mark, fb_key, fb_place{started} from "
        f"(select *, {lasts} from {followed(first.name('axis'))}) as running where {MARKERS}) as met"
    )


def _mark(place: int) -> int:
    return -1 - place
