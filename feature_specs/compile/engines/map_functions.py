"""Operators and scalar functions as the engines have them, with DuckDB's nulls and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

from sqlglot import exp

from feature_specs.compile.engines.annotate_columns import kind_of
from feature_specs.compile.engines.map_times import TIMES
from feature_specs.compile.engines.nodes import (
    call,
    case,
    is_null,
    not_null,
    number,
    paren,
    raw,
    refusal,
    to_double,
    to_type,
)

Handler = Callable[[exp.Expr, str], exp.Expr]


def _same(node: exp.Expr, engine: str) -> exp.Expr:
    return node


def _named(trino: str, spark: str | None = None) -> Handler:
    """A function of the same meaning by the engine's own name."""

    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        arguments = [a for a in (node.this, node.args.get("expression")) if isinstance(a, exp.Expr)]
        if isinstance(node, exp.Anonymous):
            arguments = []
        arguments += node.expressions
        return call(trino if engine == "trino" else spark or trino, *arguments)

    return handler


def _divide(node: exp.Expr, engine: str) -> exp.Expr:
    """DuckDB's division is of doubles, and by zero gives infinities."""
    if "interval" in (kind_of(node.this), kind_of(node.expression)):
        raise refusal(f"the division {node.sql('duckdb')}", engine)
    left, right = to_double(node.this), to_double(node.expression)
    plain = exp.Div(this=left, expression=right, typed=True, safe=False)
    if engine == "trino" or _never_zero(node.expression):
        return plain
    zero = raw("0D")
    infinite = case(
        (call("isnan", left), left),
        (exp.GT(this=left, expression=zero), raw("double('Infinity')")),
        (exp.LT(this=left, expression=zero), raw("double('-Infinity')")),
        (exp.EQ(this=left, expression=zero), raw("double('NaN')")),
    )
    return case((exp.EQ(this=right, expression=zero), infinite), default=plain)


def _never_zero(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Cast):
        return _never_zero(node.this)
    if isinstance(node, exp.Nullif):
        return isinstance(node.expression, exp.Literal) and float(node.expression.this) == 0
    return isinstance(node, exp.Literal) and not node.is_string and float(node.this) != 0


def _divide_integers(node: exp.Expr, engine: str) -> exp.Expr:
    if not {kind_of(node.this), kind_of(node.expression)} <= {"integer", "wide"}:
        raise refusal(f"{node.sql('duckdb')} of other than integers", engine)
    if engine == "spark":
        return exp.Paren(
            this=raw(f"{paren(node.this).sql('spark')} DIV {paren(node.expression).sql('spark')}")
        )
    return exp.Div(this=paren(node.this), expression=paren(node.expression), typed=True, safe=False)


def _modulo(node: exp.Expr, engine: str) -> exp.Expr:
    if "float" in (kind_of(node.this), kind_of(node.expression)):
        raise refusal(f"the remainder {node.sql('duckdb')} of floats", engine)
    return node


def _multiply(node: exp.Expr, engine: str) -> exp.Expr:
    scales = [_scale(side) for side in (node.this, node.expression)]
    if engine == "spark" and sum(scales) > 6 and all(scales):
        raise refusal(f"the decimal product {node.sql('duckdb')}, which it may round,", engine)
    return node


def _scale(node: exp.Expr) -> int:
    kind = node.type
    if kind_of(node) != "decimal" or kind is None or len(kind.expressions) != 2:
        return 0
    return int(kind.expressions[1].name)


def _extreme(name: str) -> Handler:
    """DuckDB and Spark pass over nulls, Trino gives null."""

    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        arguments = [node.this, *node.expressions]
        if engine == "spark":
            return call(name, *arguments)
        if len(arguments) == 1:
            return paren(arguments[0])
        if len(arguments) == 2:
            return exp.Coalesce(
                this=call(name, *arguments), expressions=[a.copy() for a in arguments]
            )
        array = exp.Array(expressions=[a.copy() for a in arguments])
        best = "array_max" if name == "greatest" else "array_min"
        return call(best, call("filter", array, raw("e -> e is not null")))

    return handler


def _is(node: exp.Expr, engine: str) -> exp.Expr:
    if not isinstance(node.expression, exp.Boolean):
        return node
    value = paren(node.this)
    if not node.expression.this:
        value = exp.Not(this=value)
    return exp.Coalesce(this=value, expressions=[exp.false()])


def _error(node: exp.Expr, engine: str) -> exp.Expr:
    return call("fail" if engine == "trino" else "raise_error", *node.expressions)


def _row(node: exp.Expr, engine: str) -> exp.Expr:
    return call("ROW" if engine == "trino" else "struct", *node.expressions)


def _concat(node: exp.Expr, engine: str) -> exp.Expr:
    """concat() passes over nulls."""
    parts: list[exp.Expr] = [
        exp.Coalesce(this=to_type(e, "VARCHAR"), expressions=[exp.Literal.string("")])
        for e in node.expressions
    ]
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


def _text(node: exp.Expr, engine: str) -> exp.Expr:
    """``||`` of texts only: elsewhere it appends to lists."""
    for side in (node.this, node.expression):
        if kind_of(side) not in ("text", "null"):
            raise refusal(
                f"{node.sql('duckdb')} of other than texts", engine, "cast both to varchar"
            )
    return node


def _ilike(node: exp.Expr, engine: str) -> exp.Expr:
    return exp.Like(this=call("lower", node.this), expression=call("lower", node.expression))


def _substring(node: exp.Expr, engine: str) -> exp.Expr:
    start = node.args.get("start")
    if not (isinstance(start, exp.Literal) and int(start.this) >= 1):
        raise refusal("substring from other than a positive literal", engine)
    rest = [a for a in (start, node.args.get("length")) if a is not None]
    return call("substr", node.this, *rest)


def _trim(node: exp.Expr, engine: str) -> exp.Expr:
    if node.args.get("expression") is not None or node.args.get("position"):
        raise refusal("trim of given characters", engine)
    return call("trim", node.this)


def _logarithm(name: str) -> Handler:
    """DuckDB and Trino give infinities and not-a-number, where Spark gives null."""

    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        value = to_double(
            node.expression if isinstance(node, exp.Log) and node.expression else node.this
        )
        base = node.this.name if isinstance(node, exp.Log) and node.expression else "10"
        if base not in ("10", "2"):
            raise refusal("a logarithm to another base than e, 2 and 10", engine)
        if not isinstance(node, exp.Log):
            base = ""
        plain = call({"": name, "10": "log10", "2": "log2"}[base], value)
        if engine == "trino":
            return plain
        zero = raw("0D")
        return case(
            (exp.EQ(this=value, expression=zero), raw("double('-Infinity')")),
            (exp.LT(this=value, expression=zero), raw("double('NaN')")),
            default=plain,
        )

    return handler


def _doubled(name: str) -> Handler:
    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        others = [node.expression] if isinstance(node, exp.Pow) else []
        return call(name, *(to_double(v) for v in (node.this, *others)))

    return handler


def _step(name: str) -> Handler:
    """floor() and ceil() of the argument's own kind; Spark makes integers of floats."""

    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        if node.args.get("decimals") is not None or kind_of(node.this) in ("", "decimal"):
            raise refusal(f"{node.sql('duckdb')} of an argument that is not surely a float", engine)
        made = call(name, node.this)
        return to_double(made) if kind_of(node.this) == "float" else made

    return handler


def _round(node: exp.Expr, engine: str) -> exp.Expr:
    digits = node.args.get("decimals")
    if digits is not None and not isinstance(digits, exp.Literal):
        raise refusal("round to a number of digits that is not a literal", engine)
    return call("round", node.this, *([digits] if digits is not None else []))


def _if(node: exp.Expr, engine: str) -> exp.Expr:
    if isinstance(node.parent, exp.Case):
        return node
    other = node.args.get("false")
    return case((node.this, node.args["true"]), default=other)


def _case(node: exp.Expr, engine: str) -> exp.Expr:
    return node


def _in(node: exp.Expr, engine: str) -> exp.Expr:
    """``(a, b) in (select (a, b) ...)`` selects columns elsewhere, not a row."""
    query = node.args.get("query")
    select = query.this if isinstance(query, exp.Subquery) else query
    if isinstance(select, exp.Select) and len(select.expressions) == 1:
        (item,) = select.expressions
        if isinstance(item, exp.Tuple):
            select.set("expressions", [e.copy() for e in item.expressions])
        elif isinstance(item, exp.Paren):
            select.set("expressions", [item.this.copy()])
    return node


def _nan(node: exp.Expr, engine: str) -> exp.Expr:
    value = node.this if isinstance(node, exp.IsNan) else node.expressions[0]
    test = call("is_nan" if engine == "trino" else "isnan", to_double(value))
    return case((is_null(value), exp.null()), default=test) if engine == "spark" else test


def _finite(node: exp.Expr, engine: str) -> exp.Expr:
    value = to_double(node.expressions[0])
    if engine == "trino":
        return call("is_finite", value)
    bounded = exp.LT(this=call("abs", value), expression=raw("double('Infinity')"))
    return exp.Paren(this=exp.and_(exp.Not(this=call("isnan", value)), bounded))


def _shift(node: exp.Expr, engine: str) -> exp.Expr:
    """``>>`` of wide integers, which are decimals here: the quotient, rounded down."""
    bits = node.expression
    if kind_of(node.this) != "wide" or not isinstance(bits, exp.Literal):
        raise refusal(f"{node.sql('duckdb')[:80]} of other than a hugeint by a literal", engine)
    value = to_type(node.this, "INT128")
    size = raw(
        f"DECIMAL '{2 ** int(bits.this)}'" if engine == "trino" else str(2 ** int(bits.this))
    )
    if engine == "spark":
        whole = exp.Paren(this=exp.Sub(this=value, expression=call("pmod", value, size)))
        return exp.Paren(this=exp.IntDiv(this=whole, expression=size))
    rest = call("mod", exp.Add(this=call("mod", value, size), expression=size), size)
    whole = exp.Paren(this=exp.Sub(this=value, expression=rest))
    return to_type(exp.Div(this=whole, expression=size, typed=True, safe=False), "BIGINT")


def _bits(node: exp.Expr, engine: str) -> exp.Expr:
    if not {kind_of(node.this), kind_of(node.expression)} <= {"integer", "wide"}:
        raise refusal(f"{node.sql('duckdb')} of other than integers", engine)
    if engine == "spark":
        return exp.Paren(this=node.copy())
    return call("bitwise_and", node.this, node.expression)


def _starts(node: exp.Expr, engine: str) -> exp.Expr:
    return call("starts_with" if engine == "trino" else "startswith", node.this, node.expression)


def _sign(node: exp.Expr, engine: str) -> exp.Expr:
    value, zero = node.this, number(0)
    return case(
        (exp.GT(this=paren(value), expression=zero), number(1)),
        (exp.LT(this=paren(value), expression=zero), number(-1)),
        (not_null(value), number(0)),
    )


def _position(node: exp.Expr, engine: str) -> exp.Expr:
    needle = node.args["substr"]
    return call("strpos" if engine == "trino" else "instr", node.this, needle)


def _replace(node: exp.Expr, engine: str) -> exp.Expr:
    return call("replace", node.this, node.expression, node.args["replacement"])


#: Whatever stands in a statement and is no aggregate is in this table or is refused. Those marked
#: ``_same`` are written alike; all have been run on both engines (tests/feature_specs/engine_probes.py).
SCALARS: Mapping[type[exp.Expr] | str, Handler] = {
    **TIMES,
    **dict.fromkeys(
        (exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between,
         exp.NullSafeEQ, exp.NullSafeNEQ, exp.Like, exp.Neg, exp.Coalesce, exp.Nullif, exp.Exists,
         exp.Abs),
        _same,
    ),
    exp.Div: _divide, exp.IntDiv: _divide_integers, exp.Mod: _modulo, exp.Mul: _multiply,
    exp.Greatest: _extreme("greatest"), exp.Least: _extreme("least"), exp.Is: _is, exp.In: _in,
    exp.If: _if, exp.Case: _case, "error": _error, "row": _row, exp.Concat: _concat,
    exp.DPipe: _text, exp.ILike: _ilike, exp.Substring: _substring, exp.Trim: _trim,
    exp.Lower: _named("lower"), exp.Upper: _named("upper"), exp.Length: _named("length"),
    exp.StartsWith: _starts, exp.StrPosition: _position, exp.Replace: _replace,
    exp.Ln: _logarithm("ln"), exp.Log: _logarithm("log10"), exp.Exp: _doubled("exp"),
    exp.Sqrt: _doubled("sqrt"), exp.Pow: _doubled("power"), exp.Floor: _step("floor"),
    exp.Ceil: _step("ceil"), exp.Round: _round, exp.Sign: _sign, exp.IsNan: _nan, "isnan": _nan,
    "isfinite": _finite, exp.BitwiseRightShift: _shift, exp.BitwiseAnd: _bits,
}  # fmt: skip
