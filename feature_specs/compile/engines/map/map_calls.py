"""Map every operator, function, type and literal of a statement, or refuse it by name."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.map.map_aggregates import AGGREGATES
from feature_specs.compile.engines.map.map_functions import SCALARS
from feature_specs.compile.engines.map.map_types import map_cast, map_type
from feature_specs.compile.engines.map.nodes import call, raw, refusal, rewrite
from feature_specs.compile.engines.map.window_calls import (
    PLACED,
    Call,
    shifted,
    window_refusal,
)

#: What a query is made of, besides operators and functions.
_STRUCTURE = (
    exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.With, exp.CTE, exp.From,
    exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit,
    exp.Offset, exp.Distinct, exp.Alias, exp.TableAlias, exp.Table, exp.Lateral, exp.Column,
    exp.Identifier, exp.Star, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Tuple, exp.Var,
    exp.DataType, exp.DataTypeParam, exp.Cast, exp.TryCast, exp.Placeholder, exp.Parameter,
    exp.Window, exp.WindowSpec, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.Hint,
)  # fmt: skip


def refuse_unmapped(statement: EngineStatement) -> None:
    """Refuse every construct that no table here has.

    Raises:
        CompileError: names the function and the engine.

    >>> show(refuse_unmapped, "select k, list_zip([x], [x]) as z from events", "trino")
    engine trino: list_zip (in LIST_ZIP([x], [x])) is not supported on trino. Hint: no
    mapping of it has been tried there: write it by other functions, or run this view on
    duckdb
    """
    tree, engine = statement.tree, statement.engine
    for node in tree.walk():
        if isinstance(node, _STRUCTURE) and not isinstance(node, exp.Anonymous):
            continue
        if isinstance(node, exp.Values) and _whole_numbers(node):
            continue
        if type(node) in AGGREGATES or isinstance(node, PLACED):
            continue
        if isinstance(node, exp.Anonymous) and node.name.lower() in SCALARS:
            continue
        if type(node) in SCALARS:
            continue
        raise refusal(
            f"{_name(node).lower()} (in {node.sql('duckdb')[:80]})",
            engine,
            "no mapping of it has been tried there: write it by other functions, or run this view "
            "on duckdb",
        )


def _whole_numbers(node: exp.Values) -> bool:
    """Of one type on every engine."""
    values = [value for row in node.expressions for value in row.expressions]
    return all(isinstance(value, exp.Literal) and value.is_int for value in values)


def _name(node: exp.Expr) -> str:
    if isinstance(node, exp.Explode):
        return "unnest"
    if isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc)):
        return node.name
    return node.sql_name() if isinstance(node, exp.Func) else node.key


def map_calls(statement: EngineStatement) -> None:
    """Write the engine's own functions and types.

    >>> show(map_calls, "select k, cast(x as hugeint) as h from events", "spark")
    SELECT k, CAST(x AS DECIMAL(38, 0)) AS h FROM events
    """
    engine = statement.engine
    statement.tree = rewrite(statement.tree, lambda node: _mapped(node, engine))
    for kind in list(
        statement.tree.find_all(exp.DataType)
    ):  # of casts that the mappings have written
        mapped = map_type(kind, engine)
        if mapped is not kind:
            kind.replace(mapped)


def _mapped(node: exp.Expr, engine: str) -> exp.Expr:
    if isinstance(node, exp.Window):
        return _window(node, engine)
    if isinstance(node, exp.Filter):
        return node if isinstance(node.parent, exp.Window) else _aggregate(node, engine)
    if type(node) in AGGREGATES:
        windowed = isinstance(node.parent, (exp.Window, exp.Filter)) and node.arg_key == "this"
        handled = isinstance(node.parent, (exp.IgnoreNulls, exp.RespectNulls))
        return node if windowed or handled else AGGREGATES[type(node)](node, Call(engine))
    if isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.AnyValue):
        inside = isinstance(node.parent, (exp.Filter, exp.Window))
        return node if inside else AGGREGATES[exp.AnyValue](node.this, Call(engine))
    if isinstance(node, exp.Subquery) and engine == "spark" and _beside_groups(node):
        return call("any_value", node)
    if isinstance(node, exp.Cast):
        return map_cast(node, engine)
    if isinstance(node, exp.Placeholder):
        return raw(f":{node.name}") if engine == "spark" else raw(f"${node.name}")
    if isinstance(node, exp.Anonymous):
        handler = SCALARS.get(node.name.lower())
    else:
        handler = SCALARS.get(type(node))
    return handler(node, engine) if handler is not None else node


def _beside_groups(node: exp.Subquery) -> bool:
    """A single value in the select list of groups, where Spark wants an aggregate around it."""
    above: exp.Expr | None = node
    while above is not None and not isinstance(above.parent, exp.Select):
        above = above.parent
        if isinstance(above, (exp.AggFunc, exp.Query, exp.Exists, exp.In)):
            return False
    return (
        above is not None
        and above.arg_key == "expressions"
        and above.parent is not None
        and bool(above.parent.args.get("group"))
    )


def _aggregate(node: exp.Filter, engine: str) -> exp.Expr:
    function = node.this
    if isinstance(function, exp.IgnoreNulls) and isinstance(function.this, exp.AnyValue):
        function = function.this
    handler = AGGREGATES.get(type(function))
    if handler is None:
        raise refusal(f"FILTER on {function.key}", engine)
    return handler(function, Call(engine, node.expression.this))


def _window(node: exp.Window, engine: str) -> exp.Expr:
    spec = node.args.get("spec")
    if spec is not None and (
        spec.args.get("exclude") or str(spec.args.get("kind")).upper() == "GROUPS"
    ):
        raise refusal("a frame of GROUPS, or with EXCLUDE,", engine)
    function, where = node.this, None
    if isinstance(function, exp.Filter):
        function, where = function.this, function.expression.this
    reason = window_refusal(function, engine)
    if reason is not None:
        raise refusal(reason, engine, "force another lowering, such as stab")
    handled = isinstance(function, (exp.IgnoreNulls, exp.RespectNulls))
    if isinstance(function, PLACED) or handled:
        if where is not None:
            raise refusal(f"FILTER on {function.key} over a window", engine)
        inner = function.this if handled else function
        if isinstance(inner, (exp.Lag, exp.Lead)):
            inner.replace(shifted(inner, engine))
        return node
    over = node.copy()
    over.set("this", exp.null())
    return AGGREGATES[type(function)](function, Call(engine, where, over))
