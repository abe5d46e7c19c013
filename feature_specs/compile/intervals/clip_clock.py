"""Turn a comparison with the clock into the interval of t in which it holds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.draft import Term, Window
from feature_specs.compile.intervals.clip_calendar import clip_calendar
from feature_specs.compile.sql.clock import has_clock, is_clock
from feature_specs.compile.sql.comparisons import MIRRORED
from feature_specs.compile.sql.time_axis import interval_us
from feature_specs.compile.sql.type_names import INSTANTS, LOCAL_TIMES, type_name


@dataclass(frozen=True)
class _Linear:
    """An instant plus a fixed offset; ``instant`` None stands for the clock."""

    instant: exp.Expr | None
    offset: int


def clip_clock(test: exp.Expr) -> Window | None:
    """The lifetimes that ``test`` leaves, or None where it is not a plain bound on the clock.

    ``ts > now - w`` ends a row at ts + w, ``ts >= now - w`` one microsecond later;
    ``ts <= now - w`` starts it at ts + w, ``ts < now - w`` one microsecond later.
    """
    if type(test) not in MIRRORED:
        return None
    test = _as_bound(test)
    floored = clip_calendar(test)
    if floored is not None:
        return floored
    left, right = _linear(test.this), _linear(test.expression)
    if left is None or right is None or (left.instant is None) == (right.instant is None):
        return None
    kind = type(test)
    if left.instant is None:
        left, right, kind = right, left, MIRRORED[kind]
    assert left.instant is not None
    reach = left.offset - right.offset
    if kind is exp.GT:
        return Window(ends=(Term(left.instant, reach),))
    if kind is exp.GTE:
        return Window(ends=(Term(left.instant, reach + 1),))
    if kind is exp.LTE:
        return Window(starts=(Term(left.instant, reach),))
    return Window(starts=(Term(left.instant, reach + 1),))


def _as_bound(test: exp.Expr) -> exp.Expr:
    """``now - ts < w`` as ``now < ts + w``, and the same of ``epoch(now - ts)`` in whole seconds."""
    kind = type(test)
    left, right = _unwrapped(test.this), _unwrapped(test.expression)
    if interval_us(left) is not None or isinstance(left, exp.Literal):
        left, right, kind = right, left, MIRRORED[kind]
    width = interval_us(right)
    if isinstance(left, exp.TimeToUnix) and isinstance(right, exp.Literal) and right.is_int:
        left, width = _unwrapped(left.this), int(right.this) * 1_000_000
    if width is None or not isinstance(left, exp.Sub) or interval_us(left.expression) is not None:
        return test
    wide = exp.Interval(this=exp.Literal.string(str(width)), unit=exp.var("MICROSECOND"))
    return kind(
        this=left.this.copy(), expression=exp.Add(this=left.expression.copy(), expression=wide)
    )


def _unwrapped(node: exp.Expr) -> exp.Expr:
    return _unwrapped(node.this) if isinstance(node, exp.Paren) else node


def _linear(node: exp.Expr) -> _Linear | None:
    if isinstance(node, exp.Paren):
        return _linear(node.this)
    if is_clock(node):
        return _Linear(None, 0)
    if isinstance(node, (exp.Add, exp.Sub)):
        width = interval_us(node.expression)
        if width is not None:
            inner = _linear(node.this)
            sign = 1 if isinstance(node, exp.Add) else -1
            return None if inner is None else _Linear(inner.instant, inner.offset + sign * width)
        width = interval_us(node.this)
        if width is not None and isinstance(node, exp.Add):
            inner = _linear(node.expression)
            return None if inner is None else _Linear(inner.instant, inner.offset + width)
        return None
    if has_clock(node) or not _is_time(node):
        return None
    return _Linear(node, 0)


def _is_time(node: exp.Expr) -> bool:
    """Only a timestamp's place on the axis is sure: a date beside the clock is the engine's call."""
    return isinstance(node, exp.Column) and type_name(node) in LOCAL_TIMES | INSTANTS
