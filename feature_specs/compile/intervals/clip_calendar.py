"""Turn a comparison with the clock truncated to a calendar unit into lifetimes.

``ts >= date_trunc('month', now())`` holds until the month of ts ends: now is before
``date_trunc('month', ts) + interval '1 month'``. With ``>`` it is the month of the microsecond
before ts; the negations start where these end.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.draft import Term, Window
from feature_specs.compile.sql.clock import has_clock, is_clock
from feature_specs.compile.sql.comparisons import MIRRORED
from feature_specs.compile.sql.time_axis import interval_us
from feature_specs.compile.sql.type_names import INSTANTS, type_name
from feature_specs.instants import DAY_US

_UNITS = {"SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"}


@dataclass(frozen=True)
class _Floor:
    """The clock truncated to a unit, plus a fixed offset."""

    unit: str
    offset: int = 0


def clip_calendar(test: exp.Expr) -> Window | None:
    """The lifetimes that ``test`` leaves, or None where it does not compare with a truncated clock."""
    left, right = test.this, test.expression
    floor, time, kind = _floor(right), left, type(test)
    if floor is None:
        floor, time, kind = _floor(left), right, MIRRORED[type(test)]
    moment = _moment(time)
    if floor is None or moment is None:
        return None
    at_once = kind in (exp.GTE, exp.LT)
    bound = Term(_next(moment, floor, 0 if at_once else 1))
    return Window(ends=(bound,)) if kind in (exp.GT, exp.GTE) else Window(starts=(bound,))


def _floor(node: exp.Expr) -> _Floor | None:
    if isinstance(node, exp.Paren):
        return _floor(node.this)
    if isinstance(node, (exp.TimestampTrunc, exp.DateTrunc)) and is_clock(node.this):
        unit = node.text("unit").upper()
        return _Floor(unit) if unit in _UNITS else None
    if isinstance(node, exp.Cast) and is_clock(node.this) and node.to.this == exp.DType.DATE:
        return _Floor("DAY")
    if isinstance(node, (exp.Add, exp.Sub)):
        inner = _floor(node.this)
        width = interval_us(node.expression)
        days = node.expression
        if width is None and _is_date(node.this) and isinstance(days, exp.Literal) and days.is_int:
            width = int(days.this) * DAY_US
        if inner is None or width is None:
            return None
        sign = 1 if isinstance(node, exp.Add) else -1
        return _Floor(inner.unit, inner.offset + sign * width)
    return None


def _is_date(node: exp.Expr) -> bool:
    while isinstance(node, (exp.Add, exp.Sub, exp.Paren)):
        node = node.this
    return isinstance(node, exp.Cast)


def _moment(node: exp.Expr) -> exp.Expr | None:
    """A time column as an instant: a date stands for its midnight, as it does beside a timestamp."""
    if isinstance(node, exp.Paren):
        return _moment(node.this)
    if not isinstance(node, exp.Column) or has_clock(node):
        return None
    name = type_name(node)
    if name in INSTANTS:
        return node
    return exp.cast(node.copy(), "timestamptz") if name == "DATE" else None


def _next(moment: exp.Expr, floor: _Floor, earlier: int) -> exp.Expr:
    """When the unit ends in which the moment, less the offset, stands."""
    moved = moment.copy()
    back = floor.offset + earlier
    if back:
        wide = exp.Interval(this=exp.Literal.string(str(abs(back))), unit=exp.var("MICROSECOND"))
        moved = (exp.Sub if back > 0 else exp.Add)(this=moved, expression=wide)
    cut = exp.TimestampTrunc(this=moved, unit=exp.var(floor.unit))
    one = exp.Interval(this=exp.Literal.string("1"), unit=exp.var(floor.unit))
    return exp.Add(this=cut, expression=one)
