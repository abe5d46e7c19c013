"""The operators of read-time expressions: each SQL construct and the name that serving knows."""

from __future__ import annotations

from sqlglot import exp

BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "add", exp.Sub: "sub", exp.Mul: "mul", exp.Div: "div", exp.IntDiv: "intdiv",
    exp.Mod: "mod", exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt",
    exp.GTE: "ge", exp.And: "and", exp.Or: "or", exp.Pow: "pow", exp.Nullif: "nullif",
    exp.Atan2: "atan2", exp.DPipe: "join", exp.NullSafeNEQ: "distinct", exp.Like: "like",
    exp.ILike: "ilike", exp.Contains: "contains", exp.StartsWith: "starts_with",
    exp.EndsWith: "ends_with", exp.Left: "left", exp.Right: "right",
}  # fmt: skip
UNARY: dict[type[exp.Expr], str] = {
    exp.Neg: "neg", exp.Not: "not", exp.Abs: "abs", exp.Floor: "floor", exp.Ceil: "ceil",
    exp.Sqrt: "sqrt", exp.Cbrt: "cbrt", exp.Ln: "ln", exp.Exp: "exp", exp.TimeToUnix: "epoch",
    exp.Lower: "lower", exp.Upper: "upper", exp.Sin: "sin", exp.Cos: "cos", exp.Tan: "tan",
    exp.Cot: "cot", exp.Asin: "asin", exp.Acos: "acos", exp.Atan: "atan", exp.Sinh: "sinh",
    exp.Cosh: "cosh", exp.Tanh: "tanh", exp.Asinh: "asinh", exp.Acosh: "acosh",
    exp.Atanh: "atanh", exp.Radians: "radians", exp.Degrees: "degrees", exp.Sign: "sign",
    exp.IsNan: "isnan", exp.IsInf: "isinf", exp.Length: "length", exp.Dayname: "dayname",
    exp.Monthname: "monthname", exp.LastDay: "last_day", exp.UnixToTime: "to_timestamp",
}  # fmt: skip
VARIADIC: dict[type[exp.Expr], str] = {
    exp.Coalesce: "coalesce", exp.Greatest: "greatest", exp.Least: "least",
}  # fmt: skip

#: Functions that SQLGlot has no class for.
NAMED = {
    "epoch_us": "epoch_us", "epoch_ms": "epoch_ms", "epoch": "epoch", "isfinite": "isfinite",
    "strlen": "strlen", "starts_with": "starts_with",
    "prefix": "starts_with", "suffix": "ends_with",
}  # fmt: skip
PART_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Year: "year", exp.Month: "month", exp.Day: "day", exp.DayOfMonth: "day",
    exp.Quarter: "quarter", exp.DayOfWeek: "dow", exp.DayOfWeekIso: "isodow",
    exp.DayOfYear: "doy", exp.Hour: "hour", exp.Minute: "minute", exp.Second: "second",
    exp.Week: "week", exp.WeekOfYear: "week",
}  # fmt: skip
NAMED_PARTS = {"weekday": "dow", "isoyear": "isoyear", "yearweek": "yearweek"}

_UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_SMALL = ("millisecond", "microsecond")

#: A part's other names, as DuckDB takes them.
PART_ALIASES = {
    **{f"{p}s": p for p in _UNITS},
    "milliseconds": "millisecond", "ms": "millisecond", "microseconds": "microsecond",
    "us": "microsecond", "dayofweek": "dow", "weekday": "dow", "dayofyear": "doy",
    "dayofmonth": "day", "weekofyear": "week",
}  # fmt: skip

#: The parts of a moment that an operator may name first; serving knows all of them.
PARTS: dict[str, frozenset[str]] = {
    "extract": frozenset({*_UNITS, *_SMALL, "dow", "isodow", "doy", "isoyear", "yearweek"}),
    "date_trunc": frozenset({*_UNITS, *_SMALL}),
    "date_diff": frozenset({*_UNITS, *_SMALL}),
    "date_sub": frozenset({*_UNITS, *_SMALL}),
    "age_part": frozenset({"year", "month", "day", "hour", "minute", "second"}),
}

#: Every operator that a tree may hold; serving evaluates all of them.
OPERATORS = frozenset(
    {*BINARY.values(), *UNARY.values(), *VARIADIC.values(), *NAMED.values(), *PARTS}
    | {"is_null", "case", "round", "trunc", "cast", "try_cast", "between", "in", "concat", "log"}
    | {"log10", "replace", "substring", "strpos", "trim", "ltrim", "rtrim", "make_date"}
    | {"add_months", "local_time", "strftime"}
)

#: Leaves of a tree.
LEAVES = frozenset({"column", "clock", "request", "literal", "interval"})
