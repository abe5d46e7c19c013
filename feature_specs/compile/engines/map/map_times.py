"""Intervals and calendars: DuckDB's units, days of the week and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from feature_specs.compile.engines.map.map_instants import (
    INSTANTS,
    TIMES_OF,
    epoch,
    make_timestamptz,
    measured,
    whole_us,
)
from feature_specs.compile.engines.map.nodes import (
    call,
    number,
    paren,
    raw,
    refusal,
    to_type,
)
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of
from feature_specs.compile.sql.time_axis import interval_us

Handler = Callable[[exp.Expr, str], exp.Expr]

_UNITS = {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"}
_FIELDS = {"YEAR": "year", "QUARTER": "quarter", "MONTH": "month", "WEEK": "week", "DAY": "day",
           "DOY": "doy", "HOUR": "hour", "MINUTE": "minute"}  # fmt: skip


def _unit(node: exp.Expr, engine: str) -> str:
    unit = node.text("unit").upper()
    unit = unit.partition("(")[0]
    if unit not in _UNITS:
        raise refusal(f"the unit {unit.lower()}", engine)
    return unit


def _truncate(node: exp.Expr, engine: str) -> exp.Expr:
    value = node.this
    unit = exp.Literal.string(_unit(node, engine).lower())
    if kind_of(value) in ("date", "naive"):
        # DuckDB makes a timestamp of a date.
        return to_type(call("date_trunc", unit, to_type(value, "TIMESTAMP")), "TIMESTAMP")
    return call("date_trunc", unit, value)


def _difference(node: exp.Expr, engine: str) -> exp.Expr:
    """DuckDB counts the boundaries between two instants, the others whole units."""
    unit = _unit(node, engine)
    if unit == "WEEK":
        raise refusal("date_diff in weeks", engine, "divide the days between the mondays by 7")
    text = exp.Literal.string(unit.lower())
    earlier, later = (call("date_trunc", text, v) for v in (node.expression, node.this))
    if engine == "trino":
        return call("date_diff", text, earlier, later)
    return call("timestampdiff", raw(unit), earlier, later)


def _extract(node: exp.Expr, engine: str) -> exp.Expr:
    return _field(node.name.upper(), node.expression, engine)


def _part(field: str) -> Handler:
    return lambda node, engine: _field(field, node.this, engine)


def _field(field: str, value: exp.Expr, engine: str) -> exp.Expr:
    if field in ("DOW", "DAYOFWEEK"):
        if engine == "trino":
            return exp.Mod(this=call("day_of_week", value), expression=number(7))
        return exp.Paren(this=exp.Sub(this=call("dayofweek", value), expression=number(1)))
    if field in ("ISODOW", "DAYOFWEEKISO"):
        if engine == "trino":
            return call("day_of_week", value)
        return exp.Paren(this=exp.Add(this=call("weekday", value), expression=number(1)))
    if field == "EPOCH":
        return epoch(exp.TimeToUnix(this=value.copy()), engine)
    if field == "SECOND":
        return call("second", value)
    if field not in _FIELDS:
        raise refusal(f"extract({field.lower()})", engine)
    return exp.Extract(this=exp.var(_FIELDS[field]), expression=value.copy())


def _interval(node: exp.Expr, engine: str) -> exp.Expr:
    width = interval_us(node)
    if measured(node) or (
        engine == "trino" and width is not None and width % 1000 and _moves(node)
    ):
        return node  # _epoch and _binary count microseconds instead
    if width is None:
        unit = node.text("unit").upper().removesuffix("S")
        months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(unit)
        count = node.this
        if (
            months is None
            or not isinstance(count, exp.Literal)
            or not count.this.lstrip("-").isdigit()
        ):
            raise refusal(f"the interval {node.sql('duckdb')}", engine)
        return _of_unit(int(count.this) * months, "MONTH")
    return _fixed(width, engine)


def _constructed(unit: str) -> Handler:
    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        count = node.this if isinstance(node, exp.ToDays) else node.expressions[0]
        width = interval_us(node)
        if width is not None:
            return _fixed(width, engine)
        return exp.Paren(this=exp.Mul(this=paren(count), expression=_of_unit(1, unit)))

    return handler


def _fixed(width: int, engine: str) -> exp.Expr:
    for unit, size in (
        ("DAY", 86_400_000_000),
        ("HOUR", 3_600_000_000),
        ("MINUTE", 60_000_000),
        ("SECOND", 1_000_000),
    ):
        if width % size == 0:
            return _of_unit(width // size, unit)
    if engine == "trino" and width % 1000:
        raise refusal("an interval in microseconds", engine)
    sign = "-" if width < 0 else ""
    return raw(f"INTERVAL {sign}'{abs(width) // 1_000_000}.{abs(width) % 1_000_000:06d}' SECOND")


def _of_unit(count: int, unit: str) -> exp.Expr:
    return raw(f"INTERVAL {'-' if count < 0 else ''}'{abs(count)}' {unit}")


def _binary(node: exp.Expr, engine: str) -> exp.Expr:
    """Sums and differences with dates and instants among them."""
    left, right = kind_of(node.this), kind_of(node.expression)
    minus = isinstance(node, exp.Sub)
    if isinstance(node.expression, exp.Interval):  # in microseconds, left for here
        return _moved(node, engine)
    if left == "date" and right in ("integer", "wide"):
        days: exp.Expr = exp.Neg(this=paren(node.expression)) if minus else node.expression
        if engine == "trino":
            return call("date_add", exp.Literal.string("day"), days, node.this)
        return call("date_add", node.this, days)
    if left in TIMES_OF and right in TIMES_OF:
        if left == right == "date":
            if engine == "trino":
                return call("date_diff", exp.Literal.string("day"), node.expression, node.this)
            return call("datediff", node.this, node.expression)
        if engine == "trino" and not measured(node):
            raise refusal(
                f"{node.sql('duckdb')}, whose microseconds it drops,",
                engine,
                "write epoch(later - earlier)",
            )
    if left == "date" and right == "interval":
        node.set("this", to_type(node.this, "TIMESTAMP"))
    if right == "date" and left == "interval":
        node.set("expression", to_type(node.expression, "TIMESTAMP"))
    return node


def _moves(interval: exp.Expr) -> bool:
    """It is added to, or taken from, an instant."""
    parent = interval.parent
    return (
        isinstance(parent, (exp.Add, exp.Sub))
        and interval.arg_key == "expression"
        and kind_of(parent.this) in ("naive", "aware")
    )


def _moved(node: exp.Expr, engine: str) -> exp.Expr:
    """An instant moved by microseconds, which Trino's intervals do not hold."""
    width = interval_us(node.expression)
    micros = type(node)(this=whole_us(node.this, engine), expression=number(width or 0))
    made = make_timestamptz(exp.Anonymous(this="", expressions=[micros]), engine)
    return to_type(made, "TIMESTAMP") if kind_of(node.this) == "naive" else made


TIMES: Mapping[type[exp.Expr] | str, Handler] = {
    **INSTANTS,
    exp.TimestampTrunc: _truncate, exp.DateTrunc: _truncate, exp.DateDiff: _difference,
    exp.Extract: _extract, exp.Interval: _interval, exp.ToDays: _constructed("DAY"),
    "to_seconds": _constructed("SECOND"), "to_minutes": _constructed("MINUTE"),
    "to_hours": _constructed("HOUR"), exp.Add: _binary, exp.Sub: _binary,
    exp.Year: _part("YEAR"), exp.Quarter: _part("QUARTER"), exp.Month: _part("MONTH"),
    exp.Week: _part("WEEK"), exp.WeekOfYear: _part("WEEK"), exp.Day: _part("DAY"),
    exp.DayOfMonth: _part("DAY"), exp.DayOfYear: _part("DOY"), exp.Hour: _part("HOUR"),
    exp.Minute: _part("MINUTE"), exp.Second: _part("SECOND"), exp.DayOfWeek: _part("DOW"),
    exp.DayOfWeekIso: _part("ISODOW"),
}  # fmt: skip
