"""The microsecond axis: instants and fixed intervals as integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from sqlglot import exp

from feature_specs.compile.draft import Draft, Term
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.leaf import Leaf

#: Minus and plus infinity, far enough from the limits of 64 bits to be added to and doubled.
ALWAYS, NEVER = -(2**61), 2**61

_UNITS = {
    "MICROSECOND": 1, "MILLISECOND": 1_000, "SECOND": 1_000_000, "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000, "DAY": 86_400_000_000, "WEEK": 604_800_000_000,
}  # fmt: skip
_CONSTRUCTORS = {
    "to_microseconds": 1, "to_milliseconds": 1_000, "to_seconds": 1_000_000,
    "to_minutes": 60_000_000, "to_hours": 3_600_000_000, "to_weeks": 604_800_000_000,
}  # fmt: skip


def interval_us(node: exp.Expr) -> int | None:
    """Microseconds of an interval of fixed length; None for months, years and what is not constant.

    A day is 24 hours: every session runs at UTC.
    """
    if isinstance(node, exp.Paren):
        return interval_us(node.this)
    if isinstance(node, exp.Neg):
        inner = interval_us(node.this)
        return None if inner is None else -inner
    if isinstance(node, exp.Interval) and node.this is not None:
        unit = node.text("unit").upper().removesuffix("S")
        return _scaled(node.this, _UNITS.get(unit))
    if isinstance(node, exp.Mul):
        sides = (node.this, node.expression)
        for count, unit in (sides, sides[::-1]):
            width = interval_us(unit)
            if width is not None and isinstance(count, exp.Literal) and count.is_int:
                return int(count.this) * width
        return None
    if isinstance(node, exp.ToDays):
        return _scaled(node.this, _UNITS["DAY"])
    if isinstance(node, exp.Anonymous) and node.name.lower() in _CONSTRUCTORS:
        return _scaled(node.expressions[0], _CONSTRUCTORS[node.name.lower()])
    return None


def _scaled(count: exp.Expr, unit: int | None) -> int | None:
    sign = 1
    while isinstance(count, (exp.Neg, exp.Paren)):
        sign = -sign if isinstance(count, exp.Neg) else sign
        count = count.this
    if unit is None or not isinstance(count, exp.Literal):
        return None
    try:
        return sign * int(count.this) * unit
    except ValueError:
        return None  # fractions of a unit: the engine's rounding decides, so no fixed length


def instant_of(
    leaf: Leaf, column: str, table: str | None = None, *, nanoseconds: Literal["up", "down"] = "up"
) -> exp.Expr:
    """A leaf's time column as a timestamp with time zone.

    A date counts from its day's end unless the leaf says otherwise; nanoseconds round up, so that
    nothing is seen early.
    """
    node: exp.Expr = exp.column(column, table=table, quoted=True)
    kind = leaf.columns[column].upper()
    if _is_date(leaf, column):
        days = 0 if leaf.date_visible == "start" else 1
        return exp.cast(exp.Add(this=node, expression=exp.Literal.number(days)), "timestamptz")
    if kind in ("TIMESTAMP_NS", "TIMESTAMP_NANOS"):
        whole = exp.UnixToTime(this=_whole_us(node, nanoseconds), scale=exp.Literal.number(6))
        return _at_zone(whole, leaf)
    if "TZ" in kind or "ZONE" in kind:
        return node
    if kind != "TIMESTAMP":  # of seconds or milliseconds, for which DuckDB has no time zone
        node = exp.cast(node, "timestamp")
    return _at_zone(node, leaf)


def _at_zone(local: exp.Expr, leaf: Leaf) -> exp.Expr:
    return exp.AtTimeZone(this=local, zone=exp.Literal.string(str(leaf.timezone)))


def _whole_us(node: exp.Expr, nanoseconds: Literal["up", "down"]) -> exp.Expr:
    """Microseconds of a timestamp of nanoseconds; DuckDB's ``//`` cuts towards zero, up before 1970."""
    fine = exp.Anonymous(this="epoch_ns", expressions=[node])
    thousand, zero = exp.Literal.number(1000), exp.Literal.number(0)
    whole = exp.IntDiv(this=fine, expression=thousand)
    rest = exp.Mod(this=fine.copy(), expression=thousand.copy())
    if nanoseconds == "up":
        over = exp.GT(this=rest, expression=zero)
        return exp.Add(this=whole, expression=exp.cast(over, "bigint"))
    return exp.Sub(this=whole, expression=exp.cast(exp.LT(this=rest, expression=zero), "bigint"))


def valid_to_of(leaf: Leaf, table: str | None = None) -> exp.Expr:
    """The instant at which a version closes, or null while it is open, as a timestamp with time zone.

    It is the first instant at which the version is not in force, whether the leaf's own valid_to
    is that instant or the last one before it.
    """
    assert leaf.valid_to is not None
    inclusive = leaf.valid_to_inclusive
    # A version that ends within a microsecond is not in force at that microsecond's end.
    end = instant_of(leaf, leaf.valid_to, table, nanoseconds="down" if inclusive else "up")
    if leaf.valid_to_open is not None:
        sentinel = exp.cast(exp.Literal.string(leaf.valid_to_open), "timestamptz")
        end = exp.Nullif(this=end, expression=sentinel)
    unit = _after_last(leaf) if inclusive else None
    if unit is None:
        return end
    step = exp.Interval(this=exp.Literal.string("1"), unit=exp.var(unit))
    return exp.paren(exp.Add(this=end, expression=step), copy=False)


def _after_last(leaf: Leaf) -> str | None:
    """How long after an inclusive valid_to a version closes; None where a date's end is just that.

    Dates that count from their day's end move both bounds of a version by a day, so that one
    version closes when the next, valid from the day after, is seen.
    """
    assert leaf.valid_to is not None and leaf.valid_from is not None
    if not _is_date(leaf, leaf.valid_to):
        return "MICROSECOND"
    moved = leaf.date_visible == "end" and not _is_date(leaf, leaf.valid_from)
    return None if moved else "DAY"


def _is_date(leaf: Leaf, column: str) -> bool:
    return leaf.columns[column].upper().startswith("DATE")


def instant_parameter(name: str) -> exp.Expr:
    """``$name``, a timestamp with time zone."""
    return exp.cast(exp.Parameter(this=exp.var(name)), "timestamptz")


def us_sql(instant: exp.Expr, offset: int = 0) -> str:
    """SQL of an instant on the microsecond axis; infinite instants map to its ends."""
    text = duckdb_sql(instant)
    # DuckDB has no number for an infinite instant.
    ends = f"case {text} when 'infinity' then {NEVER} when '-infinity' then {ALWAYS} end"
    return _moved(f"coalesce(epoch_us({text}), {ends})", offset)


def us_of(instant: exp.Expr) -> exp.Expr:
    """The same as a node."""
    ends = exp.Case(
        this=instant.copy(),
        ifs=[
            exp.If(this=exp.Literal.string("infinity"), true=exp.Literal.number(NEVER)),
            exp.If(this=exp.Literal.string("-infinity"), true=exp.Literal.number(ALWAYS)),
        ],
    )
    found = exp.Anonymous(this="epoch_us", expressions=[instant.copy()])
    return exp.Coalesce(this=found, expressions=[ends])


def or_never(us: exp.Expr) -> exp.Expr:
    """A place on the axis, null being the axis's end."""
    return exp.Coalesce(this=us, expressions=[exp.Literal.number(NEVER)])


def term_sql(term: Term) -> str:
    """SQL of a term, in microseconds."""
    if term.on_axis:
        return _moved(duckdb_sql(term.instant), term.offset)
    return us_sql(term.instant, term.offset)


def null_tests(terms: Iterable[Term]) -> list[str]:
    """SQL of the conditions under which none of the instants is null."""
    instants = dict.fromkeys(t.instant for t in terms if not t.on_axis)
    return [f"not {duckdb_sql(instant)} is null" for instant in instants]


def _moved(text: str, offset: int) -> str:
    return f"{text} + {offset}" if offset > 0 else f"{text} - {-offset}" if offset else text


def latest_sql(terms: Sequence[Term]) -> str | None:
    """SQL of the latest of some instants, all non-null; None if there are none."""
    return _of(terms, "greatest")


def earliest_sql(terms: Sequence[Term]) -> str | None:
    """SQL of the earliest of some instants, all non-null; None if there are none."""
    return _of(terms, "least")


def _of(terms: Sequence[Term], function: str) -> str | None:
    texts = [term_sql(t) for t in terms]
    if len(texts) < 2:
        return texts[0] if texts else None
    return f"{function}({', '.join(texts)})"


def event_offset(draft: Draft) -> int:
    """Microseconds from a row's event_time until it first counts."""
    return 1 if draft.view.boundary == "exclusive" else 0
