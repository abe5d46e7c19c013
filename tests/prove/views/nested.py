"""Queries over queries: two aggregates side by side, aggregates of aggregates, unions, subqueries."""

from __future__ import annotations

from collections.abc import Callable

from tests.prove.views.aggregates import aggregate, exact_aggregate
from tests.prove.views.clocks import plain, window
from tests.prove.views.draw import Col, Draw, Rel, scan
from tests.prove.views.grouped import group_by, grouped


def nested(draw: Draw) -> str:
    """One of the ways."""
    return draw.weighted(_WAYS)(draw)


def pair(draw: Draw) -> str:
    """Two aggregates, each over its own leaf, joined on the entity."""
    return draw.weighted(_PAIRS)(draw)


def _stream(draw: Draw, alias: str | None = None) -> Rel:
    return scan(draw, draw.table(draw.family(stream=7, trips=2, local=0.7, changes=0.7)), alias)


def _where(draw: Draw, rel: Rel, windowed: float) -> str:
    tests = list(rel.where)
    if rel.time is not None and draw.chance(windowed):
        tests.append(window(draw, rel.time))
    if draw.chance(0.2):
        tests.append(plain(draw, rel))
    return f" where {' and '.join(tests)}" if tests else ""


def _side(draw: Draw, rel: Rel, names: list[str], windowed: float = 0.6) -> str:
    """SELECT keys, one aggregate a name, GROUP BY keys."""
    items = [aggregate(draw, rel, filtered=0.15).named(name) for name in names[:-1]]
    items.append(exact_aggregate(draw, rel).named(names[-1]))
    keys = [rel.keys[e] for e in draw.entities]
    where = _where(draw, rel, windowed)
    return f"select {', '.join([*keys, *items])} from {rel.text}{where} {group_by(draw, rel)}"


def _joined_pair(draw: Draw, one: Rel, two: Rel) -> str:
    left, right = [draw.name(), draw.name()], [draw.name(), draw.name()]
    first, second = _side(draw, one, left), _side(draw, two, right)
    keys = ", ".join(draw.entities)
    word = draw.weighted({"left join": 3, "join": 2, "full join": 0.4})
    draw.tag("construct:join of aggregates", f"join:{word.split()[0].replace('join', 'inner')}")
    items = [*(f"a.{n}" for n in left), *(f"b.{n}" for n in right)]
    if draw.chance(0.5):
        draw.tag("construct:ratio of aggregates")
        items.append(f"a.{left[-1]} * 1.0 / nullif(b.{right[-1]}, 0) as {draw.name()}")
    if word == "full join":
        listed, on = keys, f"using ({keys})"
    else:
        same = " and ".join(f"a.{e} = b.{e}" for e in draw.entities)
        listed = ", ".join(f"a.{e}" for e in draw.entities)
        on = draw.pick(f"on {same}", f"on {same}", f"using ({keys})")
        listed = keys if on.startswith("using") else listed
    if draw.chance(0.6):
        draw.tag("construct:cte")
        head = f"with a as ({first}), b as ({second}) "
        return f"{head}select {listed}, {', '.join(items)} from a {word} b {on}"
    draw.tag("construct:subquery in from")
    return f"select {listed}, {', '.join(items)} from ({first}) as a {word} ({second}) as b {on}"


def two_leaves(draw: Draw) -> str:
    """Two streams."""
    return _joined_pair(draw, _stream(draw), _stream(draw))


def one_leaf_twice(draw: Draw) -> str:
    """One stream, read twice: a short window against a long one."""
    rel = _stream(draw)
    return _joined_pair(draw, rel, rel)


def share(draw: Draw) -> str:
    """A part of the whole: a CTE read twice, or a scalar subquery."""
    rel = _stream(draw)
    n = draw.name()
    item = exact_aggregate(draw, rel).named(n)
    keys = ", ".join(rel.keys[e] for e in draw.entities)
    per = f"select {keys}, {item} from {rel.text}{_where(draw, rel, 0.6)} {group_by(draw, rel)}"
    mine = ", ".join(f"p.{e}" for e in draw.entities)
    draw.tag("construct:cte", "construct:cte read twice")
    ending = draw.pick(
        f"p.{n} * 1.0 / nullif((select sum({n}) from per), 0) as share from per as p",
        f"p.{n} * 1.0 / nullif(t.total, 0) as share from per as p "
        f"cross join (select sum({n}) as total from per) as t",
        f"p.{n} - (select avg({n}) from per) as over_mean from per as p",
        f"p.{n} * 1.0 / nullif(sum(p.{n}) over (), 0) as share from per as p",
    )
    return f"with per as ({per}) select {mine}, p.{n}, {ending}"


def of_aggregate(draw: Draw) -> str:
    """An aggregate of an aggregate: per day, per word, then per entity."""
    draw.tag("construct:aggregate of an aggregate")
    rel = _stream(draw)
    keys = ", ".join(rel.keys[e] for e in draw.entities)
    fine = [f"date_trunc('{draw.pick('hour', 'day')}', {rel.time})"]
    fine += [c.sql for c in rel.of("str", "bool")]
    cut = draw.pick(*fine)
    n = draw.name()
    item = exact_aggregate(draw, rel).named(n)
    per = (
        f"select {keys}, {cut} as part, {item}, count(*) as many from {rel.text}"
        f"{_where(draw, rel, 0.6)} group by {keys}, {cut}"
    )
    names = ", ".join(draw.entities)
    outer = draw.pick(
        f"max({n}) as top, count(*) as parts",
        f"avg({n}) as mean, sum(many) as total",
        f"sum(many) filter (where {n} > 1) as total, min({n}) as low",
        f"max({n}) - min({n}) as spread",
        "count(*) filter (where many > 1) as parts, max(part) as last_part",
        f"stddev_samp({n}) as wobble, median({n}) as middle",
    )
    if draw.chance(0.5):
        draw.tag("construct:cte")
        return f"with per as ({per}) select {names}, {outer} from per group by {names}"
    return f"select {names}, {outer} from ({per}) as per group by {names}"


def projected(draw: Draw) -> str:
    """Ratios over a projection of aggregates."""
    draw.tag("construct:projection of aggregates")
    rel = _stream(draw)
    a, b, c = draw.name(), draw.name(), draw.name()
    side = _side(draw, rel, [a, b, c])
    names = ", ".join(draw.entities)
    test = draw.pick("", "", f" where {c} > 1", f" where {c} is not null")
    return (
        f"select {names}, {a}, {c}, case when {c} > 2 then 'many' else 'few' end as size, "
        f"{c} * 100 / 7 as scaled from ({side}) as per{test}"
    )


def unions(draw: Draw) -> str:
    """UNION [ALL] of two streams, or of one with itself, then grouped."""
    all_ = draw.pick(" all", " all", "")
    draw.tag("construct:union all" if all_ else "construct:union")
    one, two = _stream(draw), _stream(draw)
    parts = []
    for rel in (one, two):
        column = draw.pick(*rel.of("int")).sql
        keys = ", ".join(rel.keys[e] for e in draw.entities)
        label = f", '{rel.text.split()[0][0]}' as s" if draw.chance(0.0) else ""
        parts.append(
            f"select {keys}, {rel.time} as at_, {column} as n{label} from {rel.text}"
            f"{_where(draw, rel, 0.15)}"
        )
    return _over_parts(draw, f"{parts[0]} union{all_} {parts[1]}")


def distinct(draw: Draw) -> str:
    """DISTINCT rows, then grouped."""
    draw.tag("construct:distinct")
    rel = _stream(draw)
    column = draw.pick(*rel.of("int")).sql
    keys = ", ".join(rel.keys[e] for e in draw.entities)
    time = draw.pick(rel.time, f"date_trunc('day', {rel.time})")
    return _over_parts(
        draw,
        f"select distinct {keys}, {time} as at_, {column} as n from {rel.text}"
        f"{_where(draw, rel, 0.15)}",
    )


def _over_parts(draw: Draw, inner: str) -> str:
    cols = (Col("n", "int", "n"), Col("at_", "time", "at_"))
    keys = {e: e for e in draw.entities}
    if draw.chance(0.5):
        draw.tag("construct:cte")
        return grouped(draw, Rel("u", cols, keys, "at_"), head=f"with u as ({inner}) ", many=3)
    return grouped(draw, Rel(f"({inner}) as u", cols, keys, "at_"), many=3)


def scalars(draw: Draw) -> str:
    """Scalar subqueries in the select list: correlated by the key, or one for all."""
    rel = _stream(draw, "e")
    other = _stream(draw, "o")
    inner = exact_aggregate(draw, other).sql
    tests = [f"o.{e} = e.{e}" for e in draw.entities]
    if draw.chance(0.3):
        draw.tag("construct:scalar subquery")
        tests = []
    else:
        draw.tag("construct:correlated scalar subquery")
    if other.time is not None and draw.chance(0.5):
        tests.append(window(draw, other.time))
    where = f" where {' and '.join(tests)}" if tests else ""
    keys = ", ".join(f"e.{e}" for e in draw.entities)
    return (
        f"select {keys}, {aggregate(draw, rel).named(draw.name())}, "
        f"(select {inner} from {other.text}{where}) as {draw.name()} from {rel.text}"
        f"{_where(draw, rel, 0.4)} group by {keys}"
    )


def deep(draw: Draw) -> str:
    """CTEs over CTEs: filter, project, aggregate, keep some."""
    draw.tag("construct:cte", "construct:nested ctes")
    rel = _stream(draw)
    column = draw.pick(*rel.of("int"))
    keys = ", ".join(rel.keys[e] for e in draw.entities)
    names = ", ".join(draw.entities)
    clean = (
        f"select {keys}, {rel.time} as at_, coalesce({column.sql}, 0) as n from {rel.text}"
        f" where {plain(draw, rel)}"
    )
    recent = f"select * from clean where {window(draw, 'at_')}"
    cols = (Col("n", "int", "n"), Col("at_", "time", "at_"))
    inner = Rel("recent", cols, {e: e for e in draw.entities}, None)
    items = ", ".join(aggregate(draw, inner).named(draw.name()) for _ in range(2))
    per = f"select {names}, {items}, count(*) as many from recent group by {names}"
    kept = draw.pick("", " where many > 1")
    head = f"with clean as ({clean}), recent as ({recent}), per as ({per})"
    return f"{head} select * from per{kept}"


_WAYS: dict[Callable[[Draw], str], float] = {
    share: 1.5,
    of_aggregate: 3,
    projected: 2,
    unions: 2,
    distinct: 1.5,
    scalars: 1.5,
    deep: 2,
}
_PAIRS: dict[Callable[[Draw], str], float] = {two_leaves: 3, one_leaf_twice: 2}
