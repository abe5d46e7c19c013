"""Joins among leaves of any roles, grouped by the entity."""

from __future__ import annotations

from collections.abc import Callable

from tests.prove.tables import Table
from tests.prove.views.clocks import plain, trailing
from tests.prove.views.draw import Draw, Rel, scan
from tests.prove.views.grouped import grouped


def joined(draw: Draw) -> str:
    """Events with one or two other leaves."""
    rel = base(draw)
    for _ in range(draw.weighted({1: 8, 2: 2})):
        rel = draw.weighted(_JOINS)(draw, rel)
    return grouped(draw, rel, many=3)


def filtered(draw: Draw) -> str:
    """Events that have, or have not, a match elsewhere."""
    rel = base(draw)
    for _ in range(draw.weighted({1: 9, 2: 1})):
        rel = draw.weighted(_SEMI)(draw, rel)
    return grouped(draw, rel, many=3)


def base(draw: Draw) -> Rel:
    """The stream that other leaves are joined to."""
    family = draw.family(stream=8, trips=2, local=0.6)
    return scan(draw, draw.table(family), "e")


def with_dims(draw: Draw, rel: Rel) -> Rel:
    """The classic: attributes of the key."""
    dims = draw.table("dims", single=draw.chance(0.7))
    return _join(draw, rel, dims, kinds={"inner": 1, "left": 1})


def with_versions(draw: Draw, rel: Rel) -> Rel:
    """The versions in force now, or those in force when the event happened."""
    versions = draw.table("versions", single=draw.chance(0.6))
    alias = _alias(draw)
    on = [_on_keys(draw, rel, versions, alias)]
    if rel.time is not None and draw.chance(0.6):
        draw.tag("join:scd2 as of event")
        on.append(f"{alias}.since <= {rel.time}")
        on.append(f"({alias}.until is null or {alias}.until > {rel.time})")
    else:
        draw.tag("join:scd2 as of now")
    return _join(draw, rel, versions, alias=alias, on=on, kinds={"left": 1.4, "inner": 1})


def with_changes(draw: Draw, rel: Rel) -> Rel:
    """The present state of a changelog."""
    return _join(draw, rel, draw.table("changes"), kinds={"inner": 1, "left": 1})


def with_stream(draw: Draw, rel: Rel) -> Rel:
    """Other events of the same key around this one."""
    other = _itself(draw) if draw.chance(0.3) else None
    other = other or draw.table(draw.pick("stream", "stream", "trips"))
    alias = _alias(draw)
    on = [_on_keys(draw, rel, other, alias)]
    draw.tag("join:stream")
    if rel.time is not None:
        forms = [
            [f"{alias}.ts <= {rel.time}", f"{alias}.ts > {rel.time} - {draw.interval()}"],
            [f"{alias}.ts between {rel.time} and {rel.time} + {draw.interval()}"],
            [f"{alias}.ts = {rel.time}"],
            [f"{alias}.x = {c.sql}" for c in rel.of("int")[:1]],
        ]
        on += draw.pick(*forms)
    return _join(draw, rel, other, alias=alias, on=on, kinds={"inner": 1, "left": 1})


def _itself(draw: Draw) -> Table | None:
    """The table that was read first, once more."""
    first = next(iter(draw.tables.values()))
    if first.family not in ("stream", "trips"):
        return None
    draw.tag("join:itself")
    return first


def with_last(draw: Draw, rel: Rel) -> Rel:
    """The latest row of another stream as of each event."""
    other = draw.table(draw.pick("stream", "stream", "trips"), untied=True)
    alias = _alias(draw)
    right = scan(draw, other, alias)
    if rel.time is None or "asof" in rel.text:
        return with_dims(draw, rel)
    draw.tag("join:last", "construct:asof join")
    on = f"{_on_keys(draw, rel, other, alias)} and {rel.time} {draw.pick('>=', '>=', '>')} {alias}.ts"
    word = draw.pick("asof left join", "asof left join", "asof join")
    text = f"{rel.text} {word} {right.text} on {on}"
    return Rel(text, (*rel.cols, *right.cols), rel.keys, rel.time, rel.where)


_JOINS: dict[Callable[[Draw, Rel], Rel], float] = {
    with_dims: 4,
    with_versions: 4,
    with_changes: 1.5,
    with_stream: 2,
    with_last: 1.5,
}


def _join(
    draw: Draw,
    rel: Rel,
    table: Table,
    *,
    kinds: dict[str, float],
    alias: str | None = None,
    on: list[str] | None = None,
) -> Rel:
    kind = draw.weighted(kinds)
    draw.tag(f"join:{kind}", f"joined:{table.role}")
    alias = alias or _alias(draw)
    right = scan(draw, table, alias)
    condition = " and ".join(on or [_on_keys(draw, rel, table, alias)])
    if draw.chance(0.1):
        draw.tag("join:plain predicate in on")
        condition += f" and {plain(draw, right)}"
    if right.time is not None and draw.chance(0.06):
        draw.tag("clock:in on")
        condition += f" and {trailing(draw, right.time)}"
    word = {"inner": draw.pick("join", "inner join"), "left": "left join"}[kind]
    text = f"{rel.text} {word} {right.text} on {condition}"
    return Rel(text, (*rel.cols, *right.cols), rel.keys, rel.time, rel.where)


def _alias(draw: Draw) -> str:
    return draw.name("b")


def _on_keys(draw: Draw, rel: Rel, table: Table, alias: str) -> str:
    keys = ["k"] if draw.chance(0.8) else ["k", "j"]
    keys = [k for k in keys if k in table.leaf.columns]
    sides = [(f"{alias}.{k}", rel.keys[k]) for k in keys]
    if draw.chance(0.5):
        sides = [(b, a) for a, b in sides]
    return " and ".join(f"{a} = {b}" for a, b in sides)


def _inner_query(draw: Draw, rel: Rel) -> tuple[Rel, list[str]]:
    """The other side of a semi or anti join, and its own predicates."""
    family = draw.family(stream=4, dims=2, versions=2, changes=1, trips=1)
    other = scan(draw, draw.table(family), _alias(draw))
    tests = []
    if draw.chance(0.35):
        tests.append(plain(draw, other))
    if other.time is not None and draw.chance(0.3):
        draw.tag("clock:in subquery")
        tests.append(trailing(draw, other.time))
    return other, tests


def exists(draw: Draw, rel: Rel) -> Rel:
    """EXISTS and NOT EXISTS, correlated by key and perhaps by time."""
    other, tests = _inner_query(draw, rel)
    tests.insert(0, f"{other.keys['k']} = {rel.keys['k']}")
    if other.time is not None and rel.time is not None and draw.chance(0.5):
        tests.append(
            draw.pick(
                f"{other.time} > {rel.time}",
                f"{other.time} < {rel.time}",
                f"{other.time} between {rel.time} - {draw.interval()} and {rel.time}",
            )
        )
    word = draw.pick("exists", "not exists")
    draw.tag("join:semi" if word == "exists" else "join:anti", f"construct:{word}")
    return _test(rel, f"{word} (select 1 from {other.text} where {' and '.join(tests)})")


def contained(draw: Draw, rel: Rel) -> Rel:
    """IN and NOT IN, with the null rules of the latter."""
    other, tests = _inner_query(draw, rel)
    word = draw.pick("in", "in", "not in")
    if word == "not in" and draw.chance(0.6):
        tests.append(f"{other.keys['k']} is not null")
    draw.tag("join:semi" if word == "in" else "join:anti", f"construct:{word}")
    where = f" where {' and '.join(tests)}" if tests else ""
    if draw.chance(0.2):
        draw.tag("construct:in of integers")
        column = next(c.sql for c in rel.of("int"))
        values = [c.sql for c in other.of("int")]
        if values:
            return _test(rel, f"{column} {word} (select {values[0]} from {other.text}{where})")
    return _test(rel, f"{rel.keys['k']} {word} (select {other.keys['k']} from {other.text}{where})")


def left_anti(draw: Draw, rel: Rel) -> Rel:
    """A left join whose matches are thrown away."""
    other, tests = _inner_query(draw, rel)
    draw.tag("join:anti", "construct:left join where null")
    on = " and ".join([f"{other.keys['k']} = {rel.keys['k']}", *tests])
    joined_ = Rel(
        f"{rel.text} left join {other.text} on {on}", rel.cols, rel.keys, rel.time, rel.where
    )
    return _test(joined_, f"{other.keys['k']} is null")


def excepted(draw: Draw, rel: Rel) -> Rel:
    """Keys less other keys, by EXCEPT or INTERSECT."""
    other, tests = _inner_query(draw, rel)
    word = draw.pick("except", "except", "intersect")
    draw.tag("join:anti" if word == "except" else "join:semi", f"construct:{word}")
    where = f" where {' and '.join(tests)}" if tests else ""
    keyed = f"select {rel.keys['k']} as k from {rel.text}"
    other_keys = f"select {other.keys['k']} from {other.text}{where}"
    return _test(rel, f"{rel.keys['k']} in ({keyed} {word} {other_keys})")


def _test(rel: Rel, test: str) -> Rel:
    return Rel(rel.text, rel.cols, rel.keys, rel.time, (*rel.where, test))


_SEMI: dict[Callable[[Draw, Rel], Rel], float] = {
    exists: 4,
    contained: 3,
    left_anti: 1.5,
    excepted: 1,
}
