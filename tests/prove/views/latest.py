"""The latest row of an entity as it stands now, in the ways people write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.prove.views.aggregates import Item
from tests.prove.views.clocks import plain, window
from tests.prove.views.draw import Col, Draw, Rel, scan
from tests.prove.views.grouped import grouped


def latest(draw: Draw) -> str:
    """One of the ways."""
    draw.tag("construct:latest per key")
    return draw.weighted(_WAYS)(draw)


def _stream(draw: Draw, alias: str | None = None, *, untied: bool = False) -> Rel:
    family = draw.family(stream=6, trips=1.5, local=1, changes=1)
    return scan(draw, draw.table(family, untied=untied), alias)


def _some(draw: Draw, rel: Rel) -> Sequence[Col]:
    cols = rel.of("int", "str", "dec", "float", "bool")
    return draw.rng.sample(cols, draw.pick(1, 2, 3))


def _where(draw: Draw, rel: Rel) -> str:
    tests = list(rel.where)
    if rel.time is not None and draw.chance(0.3):
        tests.append(window(draw, rel.time))
    if draw.chance(0.25):
        tests.append(plain(draw, rel))
    return f" where {' and '.join(tests)}" if tests else ""


def _keys(draw: Draw, rel: Rel) -> str:
    return ", ".join(rel.keys[e] for e in draw.entities)


def _total(draw: Draw, rel: Rel, cols: Sequence[Col]) -> str:
    """Newest first, ties by every column that is read."""
    way = draw.pick("", " desc", " desc nulls last")
    return ", ".join([f"{rel.time} desc", *(f"{c.sql}{way}" for c in cols)])


def by_qualify(draw: Draw) -> str:
    """QUALIFY row_number() = 1, or the same in a subquery."""
    rel = _stream(draw)
    cols, keys = _some(draw, rel), _keys(draw, rel)
    number = f"row_number() over (partition by {keys} order by {_total(draw, rel, cols)})"
    listed = ", ".join([keys, *(f"{c.sql} as {draw.name()}" for c in cols)])
    if draw.chance(0.6):
        draw.tag("construct:qualify")
        age = _age(draw, rel)
        return f"select {listed}{age} from {rel.text}{_where(draw, rel)} qualify {number} = 1"
    draw.tag("construct:row_number in subquery")
    names = ", ".join(draw.entities) + "".join(
        f", {part.rpartition(' as ')[2]}" for part in listed.split(", ")[len(draw.entities) :]
    )
    return (
        f"select {names} from (select {listed}, {number} as rn from {rel.text}{_where(draw, rel)}) "
        "as ranked where rn = 1"
    )


def _age(draw: Draw, rel: Rel) -> str:
    if draw.chance(0.2):
        draw.tag("read:recency")
        return f", epoch({draw.reading_clock()} - {rel.time}) as {draw.name('r')}"
    return ""


def by_arg_max(draw: Draw) -> str:
    """arg_max over times of which no two are alike."""
    rel = _stream(draw, untied=True)
    draw.tag("aggregate:arg_max")
    items = [Item(f"{draw.pick('arg_max', 'max_by')}({c.sql}, {rel.time})", c.kind, False)
             for c in _some(draw, rel)]  # fmt: skip
    return grouped(draw, rel, items=items, windowed=0.3, many=len(items))


def by_distinct_on(draw: Draw) -> str:
    """DISTINCT ON, whose ORDER BY says which row stays."""
    rel = _stream(draw)
    draw.tag("construct:distinct on")
    cols, keys = _some(draw, rel), _keys(draw, rel)
    listed = ", ".join([keys, *(f"{c.sql} as {draw.name()}" for c in cols)])
    order = f"{keys}, {_total(draw, rel, cols)}"
    return (
        f"select distinct on ({keys}) {listed} from {rel.text}{_where(draw, rel)} order by {order}"
    )


def by_max(draw: Draw) -> str:
    """The rows whose time is the greatest of their key."""
    rel = _stream(draw, "e", untied=True)
    name = rel.text.removesuffix(" e").removesuffix(" as")
    cols = _some(draw, rel)
    keys = [rel.keys[e] for e in draw.entities]
    listed = ", ".join([*keys, *(f"{c.sql} as {draw.name()}" for c in cols)])
    if draw.chance(0.5):
        draw.tag("construct:correlated scalar subquery")
        same = " and ".join(f"o.{e} = e.{e}" for e in draw.entities)
        newest = f"(select max(o.ts) from {name} as o where {same})"
        return f"select {listed} from {rel.text} where e.ts = {newest}"
    draw.tag("construct:join with the greatest")
    names = ", ".join(draw.entities)
    same = " and ".join([*(f"m.{e} = e.{e}" for e in draw.entities), "m.newest = e.ts"])
    newest = f"(select {names}, max(ts) as newest from {name} group by {names})"
    return f"select {listed} from {rel.text} join {newest} as m on {same}"


def last_rows(draw: Draw) -> str:
    """Aggregates over an entity's last N rows."""
    rel = _stream(draw)
    draw.tag("construct:last N rows")
    cols = _some(draw, rel)
    keys = _keys(draw, rel)
    number = f"row_number() over (partition by {keys} order by {_total(draw, rel, cols)})"
    listed = ", ".join([*dict.fromkeys(rel.keys.values()), *(f"{c.sql} as {c.name}" for c in cols)])
    kept = f"{draw.pick('<= 3', '<= 2', 'between 2 and 4', '= 2')}"
    inner = f"select {listed} from {rel.text}{_where(draw, rel)} qualify {number} {kept}"
    return from_query(draw, rel, inner, cols)


def first_ranks(draw: Draw) -> str:
    """rank() = 1 keeps all rows that tie."""
    rel = _stream(draw)
    draw.tag("construct:rank")
    cols = _some(draw, rel)
    keys = _keys(draw, rel)
    function = draw.pick("rank()", "dense_rank()")
    number = f"{function} over (partition by {keys} order by {rel.time} desc)"
    listed = ", ".join([*dict.fromkeys(rel.keys.values()), *(f"{c.sql} as {c.name}" for c in cols)])
    kept = "= 1" if function == "rank()" else draw.pick("= 1", "<= 2")
    inner = f"select {listed} from {rel.text}{_where(draw, rel)} qualify {number} {kept}"
    return from_query(draw, rel, inner, cols)


def from_query(
    draw: Draw, rel: Rel, inner: str, cols: Sequence[Col], time: str | None = None
) -> str:
    """Group the rows of a query, in a CTE or a subquery."""
    outer = tuple(Col(c.name, c.kind, c.name) for c in cols)
    keys = {k: k for k in rel.keys}
    name = draw.name("q")
    if draw.chance(0.6):
        draw.tag("construct:cte")
        head, text = f"with {name} as ({inner}) ", name
    else:
        draw.tag("construct:subquery in from")
        head, text = "", f"({inner}) as {name}"
    return grouped(draw, Rel(text, outer, keys, time), head=head, windowed=0.4, many=3)


def state(draw: Draw) -> str:
    """What is in force, without any aggregate: a row an entity by the role of the leaf."""
    draw.entities = ("k",)
    draw.tag("construct:state without aggregate")
    family = draw.family(versions=3, dims=1)
    table = draw.table(family, single=True)
    rel = scan(draw, table)
    cols = draw.rng.sample(rel.of("int", "str", "bool", "float"), 2)
    listed = ", ".join(["k", *(f"{c.sql} as {draw.name()}" for c in cols)])
    if table.role == "scd2_history":
        return f"select {listed} from {rel.text} where until is null"
    tests = f" where {plain(draw, rel)}" if draw.chance(0.3) else ""
    age = f", epoch({draw.reading_clock()} - since) as age" if family == "versions" else ""
    return f"select {listed}{age if draw.chance(0.4) else ''} from {rel.text}{tests}"


_WAYS: dict[Callable[[Draw], str], float] = {
    by_qualify: 4,
    by_arg_max: 2,
    by_distinct_on: 0.7,
    by_max: 1.5,
    last_rows: 2,
    first_ranks: 1,
    state: 2,
}
