"""Window functions below an aggregate: gaps, sessions, running totals, the last rows before each."""

from __future__ import annotations

from collections.abc import Callable

from tests.prove.tables import Kind
from tests.prove.views.clocks import plain, trailing
from tests.prove.views.draw import Col, Draw, Rel, scan
from tests.prove.views.latest import from_query


def windowed(draw: Draw) -> str:
    """One of the ways."""
    draw.tag("construct:window function")
    return draw.weighted(_WAYS)(draw)


def _start(draw: Draw) -> tuple[Rel, Col, str, str]:
    """A stream, a column of it, and the keys; ORDER BY time and that column leaves no tie."""
    family = draw.family(stream=6, trips=1, local=1)
    rel = scan(draw, draw.table(family))
    col = draw.pick(*rel.of("int", "dec"))
    return rel, col, ", ".join(rel.keys[e] for e in draw.entities), f"{rel.time}, {col.sql}"


def _rest(draw: Draw, rel: Rel) -> str:
    tests = [plain(draw, rel)] if draw.chance(0.25) else []
    if rel.time is not None and draw.chance(0.2):
        draw.tag("clock:below a window function")
        tests.append(trailing(draw, rel.time))
    return f" where {' and '.join(tests)}" if tests else ""


def _wrap(draw: Draw, rel: Rel, items: list[tuple[str, Col]]) -> str:
    """SELECT keys, time and the items; aggregate them further out, perhaps in a clock window."""
    listed = [*dict.fromkeys(rel.keys.values()), f"{rel.time} as happened"]
    listed += [f"{sql} as {col.name}" for sql, col in items]
    inner = f"select {', '.join(listed)} from {rel.text}{_rest(draw, rel)}"
    return from_query(draw, rel, inner, [col for _, col in items], "happened")


def steps(draw: Draw) -> str:
    """lag and lead: the change since the row before."""
    rel, col, keys, order = _start(draw)
    name = draw.pick("lag", "lag", "lead")
    draw.tag("window:lag" if name == "lag" else "window:lead")
    over = f"over (partition by {keys} order by {order})"
    offset = draw.pick("", "", "", ", 2", ", -1")
    if offset == ", -1":
        draw.tag("window:offset below zero")
    change = Col("change", col.kind, "change")
    items = [(f"{col.sql} - {name}({col.sql}{offset}) {over}", change), (col.sql, col)]
    if draw.chance(0.4):
        draw.tag("window:gap")
        gap = f"epoch({rel.time} - lag({rel.time}) over (partition by {keys} order by {order}))"
        items.append((gap, Col("gap", "float", "gap")))
    return _wrap(draw, rel, items)


def running(draw: Draw) -> str:
    """Running totals, by rows or by range (where ties are peers)."""
    rel, col, keys, order = _start(draw)
    draw.tag("window:running")
    frame = draw.pick(
        f"order by {rel.time}",
        f"order by {order} rows between unbounded preceding and current row",
        f"order by {order} rows unbounded preceding",
    )
    function = draw.pick("sum({})", "count({})", "max({})", "min({})")
    text = f"{function.format(col.sql)} over (partition by {keys} {frame})"
    return _wrap(draw, rel, [(text, Col("total", col.kind, "total")), (col.sql, col)])


def last_n(draw: Draw) -> str:
    """A frame of the last N rows."""
    rel, col, keys, order = _start(draw)
    draw.tag("window:rows frame")
    n = draw.pick(1, 2, 4)
    frame = f"rows between {n} preceding and {draw.pick('current row', '1 preceding')}"
    function = draw.pick("sum({})", "avg({})", "max({})", "count({})")
    kind: Kind = "float" if function == "avg({})" else col.kind
    text = f"{function.format(col.sql)} over (partition by {keys} order by {order} {frame})"
    return _wrap(draw, rel, [(text, Col("moving", kind, "moving")), (col.sql, col)])


def range_frame(draw: Draw) -> str:
    """A frame of a while before each row's own time."""
    rel, col, keys, _ = _start(draw)
    draw.tag("window:range frame")
    width = draw.interval()
    frame = f"order by {rel.time} range between {width} preceding and current row"
    function = draw.pick("sum({})", "count({})", "max({})")
    text = f"{function.format(col.sql)} over (partition by {keys} {frame})"
    return _wrap(draw, rel, [(text, Col("recent", col.kind, "recent")), (col.sql, col)])


def ranks(draw: Draw) -> str:
    """Ranks, and values against the whole partition."""
    rel, col, keys, order = _start(draw)
    draw.tag("window:ranks")
    text = draw.pick(
        f"row_number() over (partition by {keys} order by {order})",
        f"rank() over (partition by {keys} order by {col.sql})",
        f"dense_rank() over (partition by {keys} order by {rel.time})",
        f"{col.sql} - max({col.sql}) over (partition by {keys})",
        f"count(*) over (partition by {keys})",
    )
    return _wrap(draw, rel, [(text, Col("place", "int", "place")), (col.sql, col)])


def sessions(draw: Draw) -> str:
    """Sessions: a gap begins a new one; then something of each session."""
    rel, col, keys, _ = _start(draw)
    draw.tag("construct:session windows")
    gap, time, names = draw.interval(), rel.time, ", ".join(rel.keys)
    flagged = (
        f"select {', '.join(rel.keys.values())}, {time} as happened, {col.sql} as {col.name}, "
        f"case when {time} - lag({time}) over (partition by {keys} order by {time}) "
        f"<= {gap} then 0 else 1 end as starts from {rel.text}{_rest(draw, rel)}"
    )
    over = f"over (partition by {', '.join(draw.entities)} order by happened)"
    numbered = f"select {names}, happened, {col.name}, sum(starts) {over} as session from flagged"
    grouped_by = ", ".join(draw.entities)
    per = (
        f"select {grouped_by}, session, count(*) as n, sum({col.name}) as total, "
        "min(happened) as began, max(happened) as ended from numbered "
        f"group by {grouped_by}, session"
    )
    head = f"with flagged as ({flagged}), numbered as ({numbered}), sessions as ({per}) "
    ending = draw.pick(
        "count(*) as sessions, max(n) as longest, avg(n) as mean",
        "max(session) as sessions, max(ended - began) as widest",
        "arg_max(n, session) as last_n, arg_max(total, session) as last_total",
        "sum(n) filter (where n > 1) as grouped, min(total) as least",
    )
    return f"{head}select {grouped_by}, {ending} from sessions group by {grouped_by}"


_WAYS: dict[Callable[[Draw], str], float] = {
    steps: 3,
    running: 2,
    last_n: 2.5,
    range_frame: 1,
    ranks: 1.5,
    sessions: 2,
}
