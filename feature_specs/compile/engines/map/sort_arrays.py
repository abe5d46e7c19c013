"""Lists and first rows by an order: arrays that are sorted with every null kept in its place."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from feature_specs.compile.engines.map.nodes import call, number, raw, refusal
from feature_specs.compile.engines.map.window_calls import Call


def with_order(node: exp.Expr) -> tuple[exp.Expr, list[exp.Ordered], bool]:
    """What an aggregate collects, its order, and whether equal values are one."""
    keys: list[exp.Ordered] = []
    if isinstance(node, exp.Order):
        keys = [k.copy() for k in node.expressions]
        node = node.this
    if isinstance(node, exp.Distinct):
        (value,) = node.expressions
        if isinstance(value, exp.Order):
            keys = [k.copy() for k in value.expressions]
            value = value.this
        return value.copy(), keys, True
    return node.copy(), keys, False


def sorted_values(node: exp.Expr, at: Call) -> exp.Expr:
    """An array of the values in their order, nulls among them; null if there is no row."""
    value, keys, distinct = with_order(node)
    if at.engine == "trino":
        inner: exp.Expr = exp.Distinct(expressions=[value]) if distinct else value
        if keys:
            inner = exp.Order(this=inner, expressions=keys)
        return at.wrap(exp.Anonymous(this="array_agg", expressions=[inner]))
    if distinct:
        raise refusal("a list of distinct values", at.engine)
    body = raw("v -> if(size(v) > 0, transform(v, e -> e.v), null)")
    return _named(_sorted_structs(value, keys, at), body)


def first_of_sorted(node: exp.Expr, at: Call) -> exp.Expr:
    """The value of the first row, null if it is null there."""
    value, keys, _ = with_order(node)
    if at.over is not None:
        raise refusal("first() with an order over a window", at.engine)
    if at.engine == "trino":
        ordered = exp.Order(this=value, expressions=keys)
        array = at.wrap(exp.Anonymous(this="array_agg", expressions=[ordered]))
        return call("element_at", array, number(1))
    return _named(_sorted_structs(value, keys, at), raw("v -> get(v, 0).v"))


def _named(array: exp.Expr, body: exp.Expr) -> exp.Expr:
    """A function of an array, which is written once: Spark's lambdas take it by name."""
    return call("get", call("transform", call("array", array), body), number(0))


def _sorted_structs(value: exp.Expr, keys: Sequence[exp.Ordered], at: Call) -> exp.Expr:
    parts: list[exp.Expr] = [exp.Literal.string("v"), value]
    for i, key in enumerate(keys):
        parts += [exp.Literal.string(f"o{i}"), key.this]
    collected = at.wrap(call("collect_list", call("named_struct", *parts)))
    if not keys:
        return collected
    tests = []
    for i, key in enumerate(keys):
        left, right = f"l.o{i}", f"r.o{i}"
        less = 1 if key.args.get("desc") else -1
        null = -1 if key.args.get("nulls_first") else 1
        tests += [
            f"when {left} is null and {right} is not null then {null}",
            f"when {left} is not null and {right} is null then {-null}",
            f"when {left} < {right} then {less}",
            f"when {left} > {right} then {-less}",
        ]
    return call("array_sort", collected, raw(f"(l, r) -> case {' '.join(tests)} else 0 end"))
