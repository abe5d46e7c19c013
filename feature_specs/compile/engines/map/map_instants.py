"""Instants on the microsecond axis and by the clock on the wall, exact, with sessions at UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from feature_specs.compile.engines.map.nodes import (
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
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of
from feature_specs.compile.sql.time_axis import interval_us

Handler = Callable[[exp.Expr, str], exp.Expr]

TIMES_OF = ("naive", "aware", "date")


def whole_us(instant: exp.Expr, engine: str) -> exp.Expr:
    """Microseconds since the epoch, exact; finer digits are cut off."""
    value = instant
    while isinstance(value, exp.Cast) and kind_of(value) == "aware" and not _is_text(value.this):
        value = value.this  # a cast to microseconds would round
    if engine == "spark":
        return call("unix_micros", to_type(value, "TIMESTAMPTZ"))
    if _is_text(value):
        value = to_type(value, "TIMESTAMPTZ")
    fine = value if kind_of(value) == "aware" else _timestamp(value, 9)
    near = _timestamp(value, 6)
    # Hours are of one length in every zone, and what is left of one is exact as a double.
    hours = call("date_diff", exp.Literal.string("hour"), raw(_EPOCH), near)
    rest = call(
        "to_unixtime",
        call("date_add", exp.Literal.string("hour"), exp.Neg(this=hours.copy()), near),
    )
    micros = call("round", exp.Mul(this=rest, expression=raw("1E6")))
    rounded_up = call("if", exp.GT(this=near.copy(), expression=fine.copy()), number(1), number(0))
    whole = exp.Add(
        this=exp.Mul(this=hours, expression=number(3_600_000_000)),
        expression=exp.Cast(this=micros, to=engine_type("BIGINT")),
    )
    return exp.Paren(this=exp.Sub(this=whole, expression=rounded_up))


_EPOCH = "TIMESTAMP '1970-01-01 00:00:00 UTC'"


def _timestamp(value: exp.Expr, digits: int) -> exp.Expr:
    kind = engine_type(f"TIMESTAMP({digits}) WITH TIME ZONE")
    return exp.Cast(this=value.copy(), to=kind)


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Literal, exp.Placeholder)) or kind_of(node) == "text"


def _epoch_us(node: exp.Expr, engine: str) -> exp.Expr:
    return whole_us(node.expressions[0], engine)


def _epoch_ns(node: exp.Expr, engine: str) -> exp.Expr:
    return exp.Mul(this=whole_us(node.expressions[0], engine), expression=number(1000))


def epoch(node: exp.Expr, engine: str) -> exp.Expr:
    """Seconds, as a double, of an instant or of the time between two."""
    value = node.this
    while isinstance(value, exp.Paren):
        value = value.this
    width = interval_us(value)
    if width is not None:
        micros: exp.Expr = number(width)
    elif isinstance(value, exp.Sub) and kind_of(value.expression) in (*TIMES_OF, ""):
        left, right = (whole_us(side, engine) for side in (value.this, value.expression))
        micros = exp.Paren(this=exp.Sub(this=left, expression=right))
    elif kind_of(value) == "interval":
        raise refusal(
            "the length of an interval to the microsecond",
            engine,
            "write epoch(later - earlier) around two instants",
        )
    else:
        micros = whole_us(value, engine)
    made = exp.Div(
        this=to_double(micros), expression=to_double(number(1_000_000)), typed=True, safe=False
    )
    return exp.Paren(this=made)


def measured(node: exp.Expr) -> bool:
    """It stands in epoch(), which is exact."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return isinstance(parent, exp.TimeToUnix)


def make_timestamptz(node: exp.Expr, engine: str) -> exp.Expr:
    (micros,) = node.expressions if len(node.expressions) == 1 else (None,)
    if micros is None:
        raise refusal("make_timestamptz of parts", engine)
    if engine == "spark":
        return call("timestamp_micros", micros)
    nanos = exp.Mul(this=to_type(micros, "DECIMAL(38, 0)"), expression=number(1000))
    return to_type(call("from_unixtime_nanos", nanos), "TIMESTAMPTZ")


def _make_timestamp(node: exp.Expr, engine: str) -> exp.Expr:
    return to_type(make_timestamptz(node, engine), "TIMESTAMP")


def _unix_to_time(node: exp.Expr, engine: str) -> exp.Expr:
    """make_timestamp(microseconds), as SQLGlot reads it."""
    if node.text("scale") != "6":
        raise refusal("a time from other than microseconds", engine)
    return _make_timestamp(exp.Anonymous(this="", expressions=[node.this]), engine)


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


INSTANTS: Mapping[type[exp.Expr] | str, Handler] = {
    "epoch_us": _epoch_us, "epoch_ns": _epoch_ns, "make_timestamptz": make_timestamptz,
    exp.TimeToUnix: epoch, exp.UnixToTime: _unix_to_time,
    exp.AtTimeZone: _at_time_zone,
}  # fmt: skip
