"""Instants, intervals and calendars: exact microseconds, and every clock at UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from feature_specs.compile.engines.annotate_columns import kind_of
from feature_specs.compile.engines.nodes import (
    call,
    case,
    engine_type,
    number,
    paren,
    raw,
    refusal,
    to_double,
    to_type,
)
from feature_specs.compile.time_axis import interval_us

Handler = Callable[[exp.Expr, str], exp.Expr]

_UNITS = {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"}
_FIELDS = {"YEAR": "year", "QUARTER": "quarter", "MONTH": "month", "WEEK": "week", "DAY": "day",
           "DOY": "doy", "HOUR": "hour", "MINUTE": "minute"}  # fmt: skip
_TIMES = ("naive", "aware", "date")


def microseconds(instant: exp.Expr, engine: str) -> exp.Expr:
    """Microseconds since the epoch, exact; finer digits are cut off."""
    value = instant
    while isinstance(value, exp.Cast) and kind_of(value) == "aware" and not _is_text(value.this):
        value = value.this  # a cast to microseconds would round
    if engine == "spark":
        return call("unix_micros", to_type(value, "TIMESTAMPTZ"))
    fine = exp.Cast(this=value.copy(), to=engine_type("TIMESTAMP(9) WITH TIME ZONE"))
    if _is_text(value):
        fine = exp.Cast(this=to_type(value, "TIMESTAMPTZ"), to=fine.args["to"])
    seconds = exp.Cast(
        this=call("to_unixtime", call("date_trunc", exp.Literal.string("second"), fine)),
        to=engine_type("BIGINT"),
    )
    text = call(
        "split_part",
        exp.Cast(this=fine.copy(), to=engine_type("VARCHAR")),
        exp.Literal.string("."),
        number(2),
    )
    rest = exp.Cast(this=call("substr", text, number(1), number(6)), to=engine_type("BIGINT"))
    return exp.Paren(
        this=exp.Add(this=exp.Mul(this=seconds, expression=number(1_000_000)), expression=rest)
    )


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Literal, exp.Placeholder)) or kind_of(node) == "text"


def _epoch_us(node: exp.Expr, engine: str) -> exp.Expr:
    return microseconds(node.expressions[0], engine)


def _epoch_ns(node: exp.Expr, engine: str) -> exp.Expr:
    return exp.Mul(this=microseconds(node.expressions[0], engine), expression=number(1000))


def _epoch(node: exp.Expr, engine: str) -> exp.Expr:
    """Seconds, as a double, of an instant or of the time between two."""
    value = node.this
    while isinstance(value, exp.Paren):
        value = value.this
    width = interval_us(value)
    if width is not None:
        micros: exp.Expr = number(width)
    elif isinstance(value, exp.Sub) and kind_of(value.expression) in (*_TIMES, ""):
        left, right = (microseconds(side, engine) for side in (value.this, value.expression))
        micros = exp.Paren(this=exp.Sub(this=left, expression=right))
    elif kind_of(value) == "interval":
        raise refusal(
            "the length of an interval to the microsecond",
            engine,
            "write epoch(later - earlier) around two instants",
        )
    else:
        micros = microseconds(value, engine)
    made = exp.Div(
        this=to_double(micros), expression=to_double(number(1_000_000)), typed=True, safe=False
    )
    return exp.Paren(this=made)


def _make_timestamptz(node: exp.Expr, engine: str) -> exp.Expr:
    (micros,) = node.expressions if len(node.expressions) == 1 else (None,)
    if micros is None:
        raise refusal("make_timestamptz of parts", engine)
    if engine == "spark":
        return call("timestamp_micros", micros)
    nanos = exp.Mul(this=to_type(micros, "DECIMAL(38, 0)"), expression=number(1000))
    return to_type(call("from_unixtime_nanos", nanos), "TIMESTAMPTZ")


def _make_timestamp(node: exp.Expr, engine: str) -> exp.Expr:
    return to_type(_make_timestamptz(node, engine), "TIMESTAMP")


def _at_time_zone(node: exp.Expr, engine: str) -> exp.Expr:
    kind, zone = kind_of(node.this), node.args["zone"]
    if kind not in ("naive", "aware"):
        raise refusal(
            f"{node.sql('duckdb')}, as it is not known whether the time has a zone,",
            engine,
            "hand the types of the leaves' columns to write_for_engine as its schema",
        )
    if kind == "naive":
        return _from_wall_clock(node.this, zone, engine)
    if engine == "trino":
        return to_type(exp.AtTimeZone(this=paren(node.this), zone=zone.copy()), "TIMESTAMP")
    return to_type(call("from_utc_timestamp", node.this, zone), "TIMESTAMP")


def _from_wall_clock(value: exp.Expr, zone: exp.Expr, engine: str) -> exp.Expr:
    """An instant by a clock on the wall; of the two in an hour that comes twice DuckDB takes the later."""
    wall = to_type(value, "TIMESTAMP")
    hour = raw("INTERVAL '1' HOUR")
    if engine == "trino":
        first: exp.Expr = call("with_timezone", wall, zone)
        later = exp.Add(this=first, expression=hour)
        shown = to_type(exp.Paren(this=later), "TIMESTAMP")
    else:
        first = call("to_utc_timestamp", wall, zone)
        later = exp.Add(this=first, expression=hour)
        shown = to_type(call("from_utc_timestamp", later, zone), "TIMESTAMP")
    chosen = case((exp.EQ(this=shown, expression=wall), later), default=first)
    if engine == "spark":
        return chosen
    return exp.AtTimeZone(this=exp.Paren(this=chosen), zone=exp.Literal.string("UTC"))


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
        return _epoch(exp.TimeToUnix(this=value.copy()), engine)
    if field == "SECOND":
        return call("second", value)
    if field not in _FIELDS:
        raise refusal(f"extract({field.lower()})", engine)
    return exp.Extract(this=exp.var(_FIELDS[field]), expression=value.copy())


def _interval(node: exp.Expr, engine: str) -> exp.Expr:
    width = interval_us(node)
    if _measured(node) or (
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
    if left in _TIMES and right in _TIMES:
        if left == right == "date":
            if engine == "trino":
                return call("date_diff", exp.Literal.string("day"), node.expression, node.this)
            return call("datediff", node.this, node.expression)
        if engine == "trino" and not _measured(node):
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
    micros = type(node)(this=microseconds(node.this, engine), expression=number(width or 0))
    made = _make_timestamptz(exp.Anonymous(this="", expressions=[micros]), engine)
    return to_type(made, "TIMESTAMP") if kind_of(node.this) == "naive" else made


def _measured(node: exp.Expr) -> bool:
    """It stands in epoch(), which is exact."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.TimeToUnix)


def _unix_to_time(node: exp.Expr, engine: str) -> exp.Expr:
    """make_timestamp(microseconds), as SQLGlot reads it."""
    if node.text("scale") != "6":
        raise refusal("a time from other than microseconds", engine)
    return _make_timestamp(exp.Anonymous(this="", expressions=[node.this]), engine)


TIMES: Mapping[type[exp.Expr] | str, Handler] = {
    "epoch_us": _epoch_us, "epoch_ns": _epoch_ns, "make_timestamptz": _make_timestamptz,
    "make_timestamp": _make_timestamp, exp.TimeToUnix: _epoch, exp.UnixToTime: _unix_to_time,
    exp.AtTimeZone: _at_time_zone,
    exp.TimestampTrunc: _truncate, exp.DateTrunc: _truncate, exp.DateDiff: _difference,
    exp.Extract: _extract, exp.Interval: _interval, exp.ToDays: _constructed("DAY"),
    "to_seconds": _constructed("SECOND"), "to_minutes": _constructed("MINUTE"),
    "to_hours": _constructed("HOUR"), exp.Add: _binary, exp.Sub: _binary,
    exp.Year: _part("YEAR"), exp.Quarter: _part("QUARTER"), exp.Month: _part("MONTH"),
    exp.Week: _part("WEEK"), exp.WeekOfYear: _part("WEEK"), exp.Day: _part("DAY"),
    exp.DayOfMonth: _part("DAY"), exp.DayOfYear: _part("DOY"), exp.Hour: _part("HOUR"),
    exp.Minute: _part("MINUTE"), exp.Second: _part("SECOND"), exp.DayOfWeek: _part("DOW"),
    "isodow": _part("ISODOW"), exp.DayOfWeekIso: _part("ISODOW"),
}  # fmt: skip
