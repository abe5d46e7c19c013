"""Predicates that hold a time column against the clock, and plain ones."""

from __future__ import annotations

from tests.prove.views.draw import Draw, Rel


def trailing(draw: Draw, time: str) -> str:
    """Rows of the last while; the far edge is open or closed, and spelled in one of several ways."""
    draw.tag("clock:trailing")
    operator = draw.pick(">", ">", ">=")
    mirrored = {">": "<", ">=": "<="}[operator]
    draw.tag("clock:open" if operator == ">" else "clock:closed")
    clock, interval = draw.clock(), draw.interval()
    return draw.pick(
        f"{time} {operator} {clock} - {interval}",
        f"{time} {operator} {clock} - {interval}",
        f"{clock} - {interval} {mirrored} {time}",
        f"{time} + {interval} {operator} {clock}",
    )


def delayed(draw: Draw, time: str) -> str:
    """Rows that are older than a while."""
    draw.tag("clock:delayed")
    return f"{time} {draw.pick('<=', '<=', '<')} {draw.clock()} - {draw.interval()}"


def band(draw: Draw, time: str) -> str:
    """Rows between two ages."""
    draw.tag("clock:band")
    near, far = sorted((draw.width(), draw.width()))
    far += draw.grid.step if near == far else far * 0
    draw.widths.add(far)
    clock = draw.clock()
    if draw.chance(0.4):
        return f"{time} between {clock} - {draw.interval(far)} and {clock} - {draw.interval(near)}"
    return f"{time} > {clock} - {draw.interval(far)} and {time} <= {clock} - {draw.interval(near)}"


def window(draw: Draw, time: str) -> str:
    """One of the three, mostly trailing."""
    return draw.weighted({trailing: 8, delayed: 1.2, band: 1})(draw, time)


def plain(draw: Draw, rel: Rel) -> str:
    """A predicate without a clock."""
    choices = [f"{c.sql} is not null" for c in rel.cols if c.kind in ("int", "float", "str")]
    choices += [f"{c.sql} {draw.pick('>', '>=', '<>')} {draw.pick(0, 1, 2)}" for c in rel.of("int")]
    choices += [draw.pick(c.sql, f"not {c.sql}", f"{c.sql} is not true") for c in rel.of("bool")]
    choices += [
        draw.pick(f"{c.sql} = 'p'", f"{c.sql} in ('q', 'ü', 'pro', 'n')", f"{c.sql} is null")
        for c in rel.of("str")
    ]
    choices += [f"{c.sql} > 0.1" for c in rel.of("dec")]
    return draw.pick(*choices) if choices else "true"


def open_end(draw: Draw, rel: Rel) -> str | None:
    """Whether a version is still open, or a trip under way: null until it is known."""
    ends = [c.sql for c in rel.cols if c.name in ("until", "ended")]
    return f"{draw.pick(*ends)} is {draw.pick('', 'not ')}null" if ends else None
