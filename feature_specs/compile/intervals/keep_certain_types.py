"""Keep only numeric types on which SQLGlot and DuckDB are known to agree.

What a total may be read from is decided by types: exact ones are added up as whole numbers, floats in
fixed point. SQLGlot takes 1.5 for a double where DuckDB takes it for a decimal, and gives a union the
type of one side. A numeric type that these rules do not confirm is forgotten, and other lowerings,
which ask for no type, serve the aggregate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from feature_specs.compile.sql.aggregates import classes
from feature_specs.compile.sql.type_names import INTEGERS_64

_NUMBERS = {*exp.DataType.NUMERIC_TYPES}
_WHOLE = tuple(map(exp.DType, sorted(INTEGERS_64)))
_DOUBLE, _BIGINT = exp.DataType.build("double"), exp.DataType.build("bigint")
_FLOAT, _INT = exp.DataType.build("float"), exp.DataType.build("int")
#: Of digits that nothing here says.
_DECIMAL = exp.DataType.build("decimal")

#: Give what they are given.
_SAME: tuple[type[exp.Expr], ...] = (
    exp.Paren, exp.Neg, exp.Abs, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Filter, exp.Window,
    exp.Order, exp.IgnoreNulls, exp.RespectNulls, exp.Nullif, exp.Subquery, exp.Alias,
    *classes(lambda known: known.result == "argument"),
)  # fmt: skip
_ALWAYS_DOUBLE: tuple[type[exp.Expr], ...] = (
    exp.Sqrt, exp.Cbrt, exp.Exp, exp.Ln, exp.Log, exp.Pow, exp.Sin, exp.Cos, exp.Tan,
    exp.UnixSeconds, exp.TimeToUnix, *classes(lambda known: known.result == "double"),
)  # fmt: skip
_COUNTS: tuple[type[exp.Expr], ...] = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.DateDiff,
    *classes(lambda known: known.result == "bigint"),
)  # fmt: skip
_ROUNDED = (exp.Round, exp.Floor, exp.Ceil, exp.Trunc)


def keep_certain_types(tree: exp.Expr) -> None:
    """Drop uncertain types, in place, in an annotated tree whose columns are qualified."""
    for scope in traverse_scope(tree):
        for node in reversed(list(scope.walk())):
            kind = node.type
            if kind is None or kind.this not in _NUMBERS:
                continue
            if isinstance(node, exp.Column):
                source = _source(scope, node.table)
                if source is not None:
                    node.type = _output(source, node.name)
            else:
                node.type = _sure(node)


def _source(scope: Scope | None, table: str) -> Scope | None:
    """The query that a column is of; None for a table's."""
    while scope is not None:
        source = scope.sources.get(table)
        if source is not None:
            return source if isinstance(source, Scope) else None
        scope = scope.parent
    return None


def _output(source: Scope, name: str) -> exp.DataType | None:
    return _common(item.type for item in outputs_of(source.expression, name))


def outputs_of(query: exp.Expr, name: str) -> list[exp.Expr]:
    """What a query's column is made of: an expression, or one for each side of a union."""
    query = query.unnest()
    names = query.named_selects if isinstance(query, exp.Query) else []
    return _at(query, names.index(name)) if name in names else []


def _at(query: exp.Expr, place: int) -> list[exp.Expr]:
    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        return [*_at(query.this, place), *_at(query.expression, place)]
    return [query.selects[place].unalias()] if isinstance(query, exp.Query) else [exp.Null()]


def _sure(node: exp.Expr) -> exp.DataType | None:
    """DuckDB's type of a node, whose parts are settled; None where these rules do not say."""
    match node:
        case exp.Literal():
            return _literal(node.this)
        case exp.Subquery() | exp.Select():
            query = node.unnest()
            selects = query.selects if isinstance(query, exp.Query) else []
            return selects[0].unalias().type if len(selects) == 1 else None
        case exp.Cast() if type(node) in (exp.Cast, exp.TryCast):
            return node.to
        case exp.Add() | exp.Sub() | exp.Mul() | exp.Mod():
            both = _common((node.this.type, node.expression.type))
            return _DECIMAL if _is(both, exp.DType.DECIMAL) else both
        case exp.Div():
            both = _common((node.this.type, node.expression.type))
            return both if both is None or _is(both, exp.DType.FLOAT) else _DOUBLE
        case exp.Coalesce() | exp.Greatest() | exp.Least():
            return _common(_types([node.this, *node.expressions]))
        case exp.Case():
            values = [branch.args["true"] for branch in node.args["ifs"]]
            return _common(_types([*values, node.args.get("default")]))
        case exp.If():
            return _common(_types([node.args["true"], node.args.get("false")]))
        case exp.Lag() | exp.Lead():
            return _common(_types([node.this, node.args.get("default")]))
        case exp.Sum() | exp.Avg():
            return _total(node)
        case exp.Extract():
            return _DOUBLE if node.name.upper() in ("EPOCH", "JULIAN") else _BIGINT
    if isinstance(node, _SAME):
        return node.this.type if isinstance(node.this, exp.Expr) else None
    if isinstance(node, _ROUNDED):
        kind = node.this.type
        return kind if _is(kind, exp.DType.DOUBLE, exp.DType.FLOAT) else None
    if isinstance(node, _ALWAYS_DOUBLE):
        return _DOUBLE
    return _BIGINT if isinstance(node, _COUNTS) else None


def _total(node: exp.Sum | exp.Avg) -> exp.DataType | None:
    value = node.this
    if isinstance(value, exp.Distinct) and len(value.expressions) == 1:
        value = value.expressions[0]
    kind = value.type
    if kind is None or kind.this not in _NUMBERS:
        return None
    if isinstance(node, exp.Avg) or _is(kind, exp.DType.DOUBLE, exp.DType.FLOAT):
        return _DOUBLE
    # A total of whole numbers is a HUGEINT; that it is exact is what counts here.
    return _BIGINT if _is(kind, *_WHOLE) else _DECIMAL


def _types(values: Sequence[exp.Expr | None]) -> Iterable[exp.DataType | None]:
    return (v.type for v in values if v is not None and not isinstance(v, exp.Null))


def _common(kinds: Iterable[exp.DataType | None]) -> exp.DataType | None:
    """The type that holds values of all of them; None for none."""
    known: list[exp.DataType] = []
    for kind in kinds:
        if kind is None or kind.this not in _NUMBERS:
            return None
        known.append(kind)
    for name, made in ((exp.DType.DOUBLE, _DOUBLE), (exp.DType.FLOAT, _FLOAT)):
        if any(_is(kind, name) for kind in known):
            return made
    if all(_is(kind, *_WHOLE) for kind in known):
        return max(known, key=lambda kind: _WHOLE.index(kind.this), default=None)
    return known[0] if all(kind == known[0] for kind in known) else _DECIMAL


def _is(kind: exp.DataType | None, *names: exp.DType) -> bool:
    return kind is not None and kind.this in names


def _literal(text: str) -> exp.DataType | None:
    if "e" in text.lower():
        return _DOUBLE
    if "." in text:
        return _DECIMAL
    return _INT if abs(int(text)) < 2**31 else _BIGINT if abs(int(text)) < 2**63 else None
