"""History views: a row per entity and event_time, of which the latest answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.prove.views.clocks import delayed, plain, trailing
from tests.prove.views.draw import Col, Draw, Rel, scan
from tests.prove.views.grouped import AMOUNT
from tests.prove.views.joins import with_changes, with_dims, with_versions


def history(draw: Draw) -> str:
    """One of the ways. Sets event_time, ttl and tie_break."""
    draw.options["event_time"] = "ts"
    if draw.chance(0.35):
        draw.options["ttl"] = draw.width()
        draw.tag("option:ttl")
    return draw.weighted(_WAYS)(draw)


def _some(draw: Draw, rel: Rel) -> list[tuple[str, str]]:
    cols = rel.of("int", "str", "dec", "float", "bool")
    return [(c.sql, draw.name()) for c in draw.rng.sample(cols, draw.pick(1, 2, 3))]


def _select(draw: Draw, rel: Rel, items: Sequence[tuple[str, str]], tests: Sequence[str]) -> str:
    keys = [rel.keys[e] for e in draw.entities]
    listed = [*keys, rel.time if (rel.time or "").endswith("ts") else f"{rel.time} as ts"]
    listed += [sql if sql.rpartition(".")[2] == name else f"{sql} as {name}" for sql, name in items]
    read = _read_time(draw, rel)
    where = f" where {' and '.join([*rel.where, *tests])}" if [*rel.where, *tests] else ""
    return f"select {', '.join([str(x) for x in listed] + read)} from {rel.text}{where}"


def _read_time(draw: Draw, rel: Rel) -> list[str]:
    found = []
    if draw.chance(0.2):
        draw.tag("read:recency")
        found.append(f"epoch({draw.reading_clock()} - {rel.time}) as {draw.name('r')}")
    if draw.chance(0.1):
        draw.tag("read:request")
        found.append(f"coalesce({AMOUNT}, 0.0) as {draw.name('r')}")
    return found


def _break_ties(draw: Draw, items: Sequence[tuple[str, str]]) -> None:
    """Name every feature: then rows that still tie are alike, and visibility decides nothing."""
    draw.options["tie_break"] = tuple(name for _, name in items)
    draw.tag("option:tie_break")


def plain_rows(draw: Draw) -> str:
    """A projection of one leaf, perhaps filtered; late rows tie by their visibility."""
    draw.tag("history:projection")
    table = draw.table(draw.family(stream=8, trips=1.5, local=1))
    # The oracle ranks late rows by a column that it adds to the one SELECT there is.
    rel = scan(draw, table, staged=0)
    items = _some(draw, rel)
    tests = [plain(draw, rel)] if draw.chance(0.35) else []
    assert rel.time is not None
    if draw.chance(0.2):
        draw.tag("history:in a window")
        tests.append(draw.pick(trailing, trailing, delayed)(draw, rel.time))
    if table.role == "known_later":
        _break_ties(draw, items)
    elif draw.chance(0.4):
        names = [name for _, name in items]
        draw.options["tie_break"] = tuple(draw.rng.sample(names, draw.pick(1, len(names))))
        draw.tag("option:tie_break")
    draw.visible = table.role == "arrival"
    return _select(draw, rel, items, tests)


def joined_rows(draw: Draw) -> str:
    """Events with attributes of their key, as of now or as of the event."""
    draw.tag("history:join")
    rel = scan(draw, draw.table(draw.family(stream=6, trips=1)), "e")
    join = draw.weighted({with_dims: 2, with_versions: 3, with_changes: 1})
    both = join(draw, rel)
    items = _some(draw, both)
    _break_ties(draw, items)
    tests = [plain(draw, both)] if draw.chance(0.25) else []
    return _select(draw, both, items, tests)


def last_join(draw: Draw) -> str:
    """The latest row of another stream as of each event: ASOF, or a join and row_number()."""
    draw.tag("history:last join", "join:last")
    rel = scan(draw, draw.table(draw.family(stream=5, trips=1), untied=True), "e")
    other = scan(draw, draw.table(draw.family(stream=5, trips=1), untied=True), "o")
    items = [(draw.pick(*rel.of("int")).sql, draw.name())]
    items += [(c.sql, draw.name()) for c in draw.rng.sample(other.of("int", "str"), 2)]
    _break_ties(draw, items)
    same = " and ".join(f"e.{k} = o.{k}" for k in draw.entities)
    word = draw.pick("left join", "left join", "join")
    if draw.chance(0.45):
        draw.tag("construct:asof join")
        text = f"{rel.text} asof {word} {other.text} on {same} and e.ts >= o.ts"
        return _select(draw, replace(rel, text=text), items, [])
    draw.tag("construct:qualify")
    near = f" and o.ts > e.ts - {draw.interval()}" if draw.chance(0.3) else ""
    text = f"{rel.text} {word} {other.text} on {same} and o.ts <= e.ts{near}"
    keys = ", ".join(rel.keys[e] for e in draw.entities)
    number = f"row_number() over (partition by {keys}, e.ts order by o.ts desc nulls last)"
    return f"{_select(draw, replace(rel, text=text), items, [])} qualify {number} = 1"


def windows(draw: Draw) -> str:
    """Window functions over the history: the change, a running count, the mean of the last three."""
    draw.tag("history:window function", "construct:window function")
    rel = scan(draw, draw.table(draw.family(stream=6, trips=1)))
    col = draw.pick(*rel.of("int"))
    keys = ", ".join(rel.keys[e] for e in draw.entities)
    over = f"partition by {keys} order by ts, {col.sql}"
    item = draw.pick(
        f"{col.sql} - lag({col.sql}) over ({over})",
        f"count(*) over ({over} rows unbounded preceding)",
        f"sum({col.sql}) over (partition by {keys} order by ts)",
        f"avg({col.sql}) over ({over} rows between 2 preceding and current row)",
        f"max({col.sql}) over (partition by {keys} order by ts range between "
        f"{draw.interval()} preceding and current row)",
    )
    items = [(col.sql, draw.name()), (item, draw.name())]
    _break_ties(draw, items)
    return _select(draw, rel, items, [plain(draw, rel)] if draw.chance(0.2) else [])


def grouped_rows(draw: Draw) -> str:
    """An aggregate a bucket of time: the latest bucket answers."""
    draw.tag("history:grouped")
    rel = scan(draw, draw.table(draw.family(stream=6, trips=1)))
    keys = ", ".join(rel.keys[e] for e in draw.entities)
    bucket = draw.pick("ts", f"date_trunc('{draw.pick('hour', 'day')}', ts)")
    col = draw.pick(*rel.of("int")).sql
    where = f" where {plain(draw, rel)}" if draw.chance(0.3) else ""
    name = "ts" if bucket == "ts" else f"{bucket} as ts"
    return (
        f"select {keys}, {name}, count(*) as {draw.name()}, sum({col}) as {draw.name()}, "
        f"max({col}) as {draw.name()} from {rel.text}{where} group by {keys}, {bucket}"
    )


def version_rows(draw: Draw) -> str:
    """The history of a slowly changing leaf, or of a changelog."""
    draw.tag("history:versions")
    if draw.chance(0.5):
        rel = scan(draw, draw.table("versions", single=True))
        draw.entities = ("k",)
        draw.options["event_time"] = "since"
        items = _some(draw, rel)
        listed = ", ".join(f"{sql} as {name}" for sql, name in items)
        _break_ties(draw, items)
        return f"select k, since, {listed} from {rel.text}"
    rel = scan(draw, draw.table("changes"))
    items = _some(draw, rel)
    _break_ties(draw, items)
    return _select(draw, rel, items, [])


def union_rows(draw: Draw) -> str:
    """Two streams one after the other."""
    draw.tag("history:union", "construct:union all")
    parts = []
    n = draw.name()
    for _ in range(2):
        rel = scan(draw, draw.table("stream"))
        col: Col = draw.pick(*rel.of("int"))
        keys = ", ".join(rel.keys[e] for e in draw.entities)
        parts.append(f"select {keys}, ts, {col.sql} as {n} from {rel.text}")
    draw.options["tie_break"] = (n,)
    return " union all ".join(parts)


_WAYS: dict[Callable[[Draw], str], float] = {
    plain_rows: 6,
    joined_rows: 3,
    last_join: 3,
    windows: 2,
    grouped_rows: 1.2,
    version_rows: 1,
    union_rows: 0.7,
}
