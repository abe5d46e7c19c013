"""The tail: the clock by the calendar, as a quantity, under OR, in CASE, in ON."""

from __future__ import annotations

from tests.prove.grid import days, months
from tests.prove.views.aggregates import Item
from tests.prove.views.clocks import plain, trailing
from tests.prove.views.draw import Draw, Rel, scan
from tests.prove.views.grouped import grouped


def _stream(draw: Draw) -> Rel:
    return scan(draw, draw.table(draw.family(stream=6, trips=1, local=0.5)), draw.pick(None, "e"))


def calendar(draw: Draw) -> str:
    """This month, today, the last month: windows whose width depends on the clock."""
    draw.grid = months() if draw.chance(0.6) else days(draw.rng)
    draw.tag("clock:calendar")
    rel, clock = _stream(draw), draw.clock()
    time = rel.time
    test = draw.pick(
        f"{time} >= date_trunc('month', {clock})",
        f"{time} >= date_trunc('day', {clock})",
        f"{time} >= date_trunc('week', {clock})",
        f"{time} > {clock} - interval '1' month",
        f"{time} >= {clock} - interval '1 month'",
        f"{time} >= current_date",
        f"{time} >= current_date - interval '7' day",
        f"date_trunc('month', {time}) = date_trunc('month', {clock})",
        f"{time} < date_trunc('month', {clock}) and "
        f"{time} >= date_trunc('month', {clock} - interval '1' month)",
    )
    draw.widths |= {draw.grid.step * n for n in (1, 28, 29, 31)}
    if draw.chance(0.6):
        return grouped(draw, Rel(rel.text, rel.cols, rel.keys, time, (test,)), windowed=0, many=2)
    item = draw.pick(*(f"sum({c.sql})" for c in rel.of("int")), "count(*)")
    filtered = Item(f"{item} filter (where {test})", "int")
    return grouped(draw, rel, items=[filtered], windowed=0, many=2)


def decay(draw: Draw) -> str:
    """The clock as a quantity inside an aggregate."""
    draw.tag("clock:quantity")
    rel, clock = _stream(draw), draw.clock()
    x = draw.pick(*rel.of("int")).sql
    age = f"epoch({clock} - {rel.time})"
    item = draw.pick(
        f"sum({x} * exp(-{age} / 86400))",
        f"avg({age})",
        f"sum(pow(0.5, {age} / 43200))",
        f"max(date_diff('hour', {rel.time}, {clock}))",
        f"count(distinct date_diff('day', {rel.time}, {clock}))",
    )
    return grouped(draw, rel, items=[Item(item, "float", False)], windowed=0.4, many=2)


def either(draw: Draw) -> str:
    """OR of clock predicates."""
    draw.tag("clock:or")
    rel = _stream(draw)
    assert rel.time is not None
    one, two = trailing(draw, rel.time), trailing(draw, rel.time)
    test = draw.pick(
        f"({one} or ({plain(draw, rel)} and {two}))",
        f"({one} or {plain(draw, rel)})",
        f"not ({one} and {two})",
    )
    if draw.chance(0.5):
        return grouped(draw, Rel(rel.text, rel.cols, rel.keys, rel.time, (test,)), windowed=0)
    return grouped(draw, rel, items=[Item(f"count(*) filter (where {test})", "int")], windowed=0)


def cases(draw: Draw) -> str:
    """CASE on the clock: the value changes with age, the row stays."""
    draw.tag("clock:case")
    rel = _stream(draw)
    assert rel.time is not None
    x = draw.pick(*rel.of("int")).sql
    test = trailing(draw, rel.time)
    item = draw.pick(
        f"sum(case when {test} then {x} else 0 end)",
        f"count(case when {test} then 1 end)",
        f"max(case when {test} then {x} end)",
        f"sum(case when {test} then {x} when {trailing(draw, rel.time)} then 1 else 0 end)",
        f"count(distinct case when {test} then {x} end)",
    )
    return grouped(draw, rel, items=[Item(item, "int")], windowed=0.3, many=2)


def in_on(draw: Draw) -> str:
    """The clock in ON: it clips the match, and the outer row stays."""
    draw.tag("clock:in on")
    rel = scan(draw, draw.table("stream"), "e")
    other = scan(draw, draw.table(draw.pick("stream", "trips")), "o")
    assert other.time is not None
    word = draw.pick("left join", "left join", "join")
    draw.tag(f"join:{word.replace(' join', '').replace('join', 'inner')}")
    text = f"{rel.text} {word} {other.text} on o.k = e.k and {trailing(draw, other.time)}"
    both = Rel(text, (*rel.cols, *other.cols), rel.keys, rel.time)
    return grouped(draw, both, items=[Item("count(o.k)", "int")], windowed=0.3, many=2)
