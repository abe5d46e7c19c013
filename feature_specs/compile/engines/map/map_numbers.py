"""Arithmetic and functions of numbers, with DuckDB's infinities, halves and zeros."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from feature_specs.compile.engines.map.nodes import (
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
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of
from feature_specs.compile.sql.type_names import type_name

Handler = Callable[[exp.Expr, str], exp.Expr]


def _divide(node: exp.Expr, engine: str) -> exp.Expr:
    """DuckDB's division is of doubles, or of floats of 32 bits, and by zero gives infinities."""
    if "interval" in (kind_of(node.this), kind_of(node.expression)):
        raise refusal(f"the division {node.sql('duckdb')}", engine)
    kinds = {type_name(side) for side in (node.this, node.expression)}
    single = "FLOAT" in kinds and "DOUBLE" not in kinds
    left, right = (
        to_type(v, "FLOAT" if single else "DOUBLE") for v in (node.this, node.expression)
    )
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
    left, right = paren(node.this), paren(node.expression)
    if engine == "spark":
        return exp.Paren(this=raw(f"{left.sql('spark')} DIV {right.sql('spark')}"))
    if {type_name(node.this), type_name(node.expression)} & _DECIMALS:  # whose quotient is rounded
        rest = call("mod", left, right)
        left = exp.Paren(this=exp.Sub(this=left, expression=rest))
    return exp.Div(this=left, expression=right, typed=True, safe=False)


#: Integers that are decimals on Trino.
_DECIMALS = {"INT128", "UBIGINT", "UINT128", "HUGEINT"}


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


def _nan(node: exp.Expr, engine: str) -> exp.Expr:
    value = node.this
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


def _sign(node: exp.Expr, engine: str) -> exp.Expr:
    value, zero = node.this, number(0)
    return case(
        (exp.GT(this=paren(value), expression=zero), number(1)),
        (exp.LT(this=paren(value), expression=zero), number(-1)),
        (not_null(value), number(0)),
    )


NUMBERS: Mapping[type[exp.Expr] | str, Handler] = {
    exp.Div: _divide, exp.IntDiv: _divide_integers, exp.Mod: _modulo, exp.Mul: _multiply,
    exp.Ln: _logarithm("ln"), exp.Log: _logarithm("log10"), exp.Exp: _doubled("exp"),
    exp.Sqrt: _doubled("sqrt"), exp.Pow: _doubled("power"), exp.Floor: _step("floor"),
    exp.Ceil: _step("ceil"), exp.Round: _round, exp.Sign: _sign, exp.IsNan: _nan,
    "isfinite": _finite, exp.BitwiseRightShift: _shift, exp.BitwiseAnd: _bits,
}  # fmt: skip
