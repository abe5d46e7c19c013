"""As-of views that group a relation by the entity."""

from __future__ import annotations

from collections.abc import Sequence

from tests.prove.views.aggregates import Item, aggregate, exact_aggregate
from tests.prove.views.clocks import plain, window
from tests.prove.views.draw import Draw, Rel, scan

AMOUNT = "cast(getvariable('forebay_request_amount') as double)"


def one_stream(draw: Draw) -> str:
    """Windows over one leaf: what most views are."""
    family = draw.family(stream=10, trips=2.5, local=1.2, days=0.8, changes=1)
    if family == "stream" and draw.chance(0.08):
        draw.huge = True
        draw.tag("data:huge floats")
    table = draw.table(family)
    return grouped(draw, scan(draw, table, draw.pick(None, None, "e")))


def versions_only(draw: Draw) -> str:
    """Counts and sums over slowly changing versions."""
    draw.tag("construct:aggregate over versions")
    return grouped(draw, scan(draw, draw.table("versions")))


def grouped(
    draw: Draw,
    rel: Rel,
    *,
    items: Sequence[Item] = (),
    windowed: float = 0.55,
    head: str = "",
    many: int = 4,
) -> str:
    """SELECT keys and aggregates FROM rel GROUP BY keys.

    Args:
        items: aggregates that must be among them.
        windowed: how likely a clock predicate in WHERE is.
        head: CTEs in front.
    """
    where = list(rel.where)
    if rel.time is not None and draw.chance(windowed):
        where.append(window(draw, rel.time))
        draw.tag("clock:in where")
    if draw.chance(0.2):
        where.append(plain(draw, rel))
    draw.rng.shuffle(where)
    chosen = [*items]
    while len(chosen) < draw.pick(1, 2, 2, 3, many):
        chosen.append(aggregate(draw, rel, filtered=0.3 if where else 0.5))
    outputs = [item.named(draw.name()) for item in chosen]
    outputs += _derived(draw, rel)
    having = ""
    if draw.chance(0.08):
        draw.tag("construct:having")
        having = f" having {exact_aggregate(draw, rel).sql} {draw.pick('> 1', '>= 2', '<> 0')}"
    return (
        f"{head}select {', '.join([*_keys(draw, rel), *outputs])} from {rel.text}"
        f"{' where ' + ' and '.join(where) if where else ''} {group_by(draw, rel)}{having}"
    )


def _keys(draw: Draw, rel: Rel) -> list[str]:
    return [
        rel.keys[e] if rel.keys[e].rpartition(".")[2] == e else f"{rel.keys[e]} as {e}"
        for e in draw.entities
    ]


def group_by(draw: Draw, rel: Rel) -> str:
    """GROUP BY the entity, by name or by position."""
    if draw.chance(0.06):
        draw.tag("construct:group by position")
        return "group by " + ", ".join(str(n + 1) for n in range(len(draw.entities)))
    return "group by " + ", ".join(rel.keys[e] for e in draw.entities)


def _derived(draw: Draw, rel: Rel) -> list[str]:
    """Expressions over aggregates, and such as are evaluated when a vector is read."""
    found: list[str] = []
    if draw.chance(0.12):
        draw.tag("construct:expression over aggregates")
        one, two = exact_aggregate(draw, rel).sql, exact_aggregate(draw, rel).sql
        found.append(
            draw.pick(
                f"coalesce({one}, 0) + coalesce({two}, 0)",
                f"{one} * 1.0 / nullif({two}, 0)",
                f"case when {one} > 2 then 'many' when {one} is null then 'none' else 'few' end",
                f"greatest({one}, {two}, 1)",
            )
        )
    instants = [c.sql for c in rel.of("time") if c.name in ("ts", "since", "loaded", "ended")]
    if instants and draw.chance(0.12):
        draw.tag("read:recency")
        latest = f"{draw.pick('max', 'max', 'min')}({draw.pick(*instants)})"
        clock = draw.reading_clock()
        found.append(
            draw.pick(
                f"epoch({clock} - {latest})",
                f"epoch({clock} - {latest}) / 3600",
                f"date_diff('hour', {latest}, {clock})",
                f"{clock} - {latest} < interval '2' hour",
            )
        )
    if draw.chance(0.08):
        draw.tag("read:request")
        one = exact_aggregate(draw, rel).sql
        found.append(
            draw.pick(
                f"{one} * {AMOUNT}",
                f"coalesce({AMOUNT}, 0.0)",
                f"{AMOUNT} / nullif({one}, 0)",
                f"case when {AMOUNT} > coalesce({one}, 0) then 1 else 0 end",
            )
        )
    return [f"{sql} as {draw.name('r')}" for sql in found]
