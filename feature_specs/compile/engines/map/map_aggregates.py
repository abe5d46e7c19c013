"""Aggregates as the engines have them, with DuckDB's types, nulls and orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from feature_specs.compile.engines.map.map_comparisons import NAN, is_nan, may_be_nan, sort_key
from feature_specs.compile.engines.map.nodes import (
    call,
    case,
    not_null,
    number,
    raw,
    refusal,
    to_double,
    to_type,
)
from feature_specs.compile.engines.map.sort_arrays import (
    first_of_sorted,
    sorted_values,
    with_order,
)
from feature_specs.compile.engines.map.window_calls import Call
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of
from feature_specs.compile.sql.aggregates import classes, known_aggregate, name_on

Handler = Callable[[exp.Expr, Call], exp.Expr]

_STATE = "row(n double, m double, s double)"
_WELFORD = (
    "(a, x) -> if(x is null, a, cast(row(a.n + 1, a.m + (x - a.m) / (a.n + 1), "
    f"a.s + (x - a.m) * (x - (a.m + (x - a.m) / (a.n + 1)))) as {_STATE}))"
)


def _inside(node: exp.Expr, at: Call, change: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Apply a change to the argument, inside DISTINCT if there is one."""
    argument = node.this
    if isinstance(argument, exp.Distinct):
        return exp.Distinct(expressions=[change(e) for e in argument.expressions])
    return at.argument(change(argument))


def _as_it_is(node: exp.Expr, at: Call) -> exp.Expr:
    return at.wrap(call(name_on(type(node), at.engine), _inside(node, at, lambda e: e.copy())))


def _max(node: exp.Expr, at: Call) -> exp.Expr:
    """Trino's passes over NaN, which to DuckDB is the greatest."""
    plain = _as_it_is(node, at)
    value = node.this
    if at.engine != "trino" or not may_be_nan(value):
        return plain
    some = at.wrap(call("bool_or", at.argument(is_nan(value))))
    return case((some, NAN), default=plain)


def _pairwise(node: exp.Expr, at: Call) -> exp.Expr:
    name = name_on(type(node), at.engine)
    return at.wrap(call(name, to_double(node.this), to_double(node.expression)))


def _count(node: exp.Expr, at: Call) -> exp.Expr:
    if node.expressions:
        raise refusal("count of several values", at.engine)
    if isinstance(node.this, exp.Distinct) and len(node.this.expressions) != 1:
        raise refusal("count of distinct tuples", at.engine)
    if isinstance(node.this, exp.Star) or node.this is None:
        counted = exp.Star() if at.over is None or at.where is None else at.argument(number(1))
        return at.wrap(exp.Count(this=counted))
    return at.wrap(exp.Count(this=_inside(node, at, lambda e: e.copy())))


def _count_if(node: exp.Expr, at: Call) -> exp.Expr:
    """A sum of ones and zeros: null where no row says either."""
    test = node.this
    ones = case((test, number(1)), (exp.Not(this=exp.Paren(this=test.copy())), number(0)))
    return at.wrap(exp.Sum(this=at.argument(to_type(ones, "DECIMAL(38, 0)"))))


def _corr(node: exp.Expr, at: Call) -> exp.Expr:
    """Not a number, rather than null, where one side does not vary."""
    x, y = to_double(node.this), to_double(node.expression)
    plain = at.wrap(call("corr", x, y))
    if at.engine == "spark":  # its own corr() divides by zero
        spreads = [
            at.wrap(call("stddev_pop", case((not_null(other), one))))
            for one, other in ((x, y), (y, x))
        ]
        under = exp.Mul(this=spreads[0], expression=spreads[1])
        plain = call("try_divide", at.wrap(call("covar_pop", x, y)), under)
    pairs = case((exp.and_(not_null(node.this), not_null(node.expression)), number(1)))
    some = exp.GT(this=at.wrap(exp.Count(this=pairs)), expression=number(0))
    nan = raw("nan()" if at.engine == "trino" else "double('NaN')")
    return case((some, exp.Coalesce(this=plain, expressions=[nan])))


def _sum(node: exp.Expr, at: Call) -> exp.Expr:
    argument = node.this
    bare = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
    kind = kind_of(bare)
    if at.engine == "trino" and kind == "float" and at.moving:
        return _moving_sum(bare, at)

    def wide(value: exp.Expr) -> exp.Expr:
        if kind == "boolean":
            value = to_type(value, "INT")
        if kind == "float":
            return to_double(value)  # Trino sums floats of 32 bits in 32 bits
        return to_type(value, "DECIMAL(38, 0)") if kind in _WHOLE else value.copy()

    return at.wrap(exp.Sum(this=_inside(node, at, wide)))


#: DuckDB sums these to a hugeint.
_WHOLE = ("integer", "wide", "boolean")


def _moving_sum(value: exp.Expr, at: Call) -> exp.Expr:
    """Trino subtracts what leaves a frame from a sum of doubles, but folds it anew by reduce_agg."""
    start = raw("DOUBLE '0'")
    plus = raw("(a, b) -> a + b")
    return at.wrap(call("reduce_agg", at.argument(to_double(value)), start, plus, plus))


def _avg(node: exp.Expr, at: Call) -> exp.Expr:
    bare = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    if kind_of(bare) in ("date", "naive", "aware", "interval"):
        raise refusal("the average of times", at.engine)
    if at.engine == "trino" and at.moving:
        total = _moving_sum(bare, at)
        return exp.Div(
            this=total,
            expression=to_double(at.wrap(exp.Count(this=at.argument(bare)))),
            typed=True,
            safe=False,
        )
    return at.wrap(exp.Avg(this=_inside(node, at, to_double)))


def _spread(node: exp.Expr, at: Call) -> exp.Expr:
    known = known_aggregate(node)
    assert known is not None
    if at.engine == "trino" and at.moving:
        least = "if(a.n > 1, {}(a.s / (a.n - 1)))" if known.sample else "if(a.n > 0, {}(a.s / a.n))"
        values = at.wrap(call("array_agg", at.argument(to_double(node.this))))
        state = raw(f"cast(row(0, 0, 0) as {_STATE})")
        last = raw("a -> " + least.format("sqrt" if known.root else ""))
        return call("reduce", values, state, raw(_WELFORD), last)
    return at.wrap(call(name_on(type(node), at.engine), _inside(node, at, to_double)))


def _kurtosis(node: exp.Expr, at: Call) -> exp.Expr:
    """DuckDB and Trino correct for the size of the sample, Spark does not."""
    value = to_double(node.this)
    if at.engine == "trino":
        return at.wrap(call("kurtosis", value))
    plain = at.wrap(call("kurtosis", value))
    n = to_double(at.wrap(exp.Count(this=node.this.copy())))
    less = [exp.Paren(this=exp.Sub(this=n.copy(), expression=number(i))) for i in (1, 2, 3)]
    more = exp.Paren(this=exp.Add(this=n.copy(), expression=number(1)))
    under = exp.Paren(this=exp.Mul(this=less[1], expression=less[2]))
    spread = exp.Add(this=exp.Mul(this=more, expression=plain), expression=number(6))
    share = exp.Div(this=less[0], expression=under, typed=True, safe=False)
    made = exp.Mul(this=share, expression=exp.Paren(this=spread))
    return case((exp.GT(this=n, expression=number(3)), made))


def _quantile(node: exp.Expr, at: Call) -> exp.Expr:
    share = exp.Literal.number("0.5") if isinstance(node, exp.Median) else node.expression
    value = node.this
    if not isinstance(share, exp.Literal):
        raise refusal("a quantile whose share is not a literal", at.engine)
    if kind_of(value) not in ("integer", "wide", "float"):
        raise refusal(
            f"the quantile of {value.sql('duckdb')}, which is not surely an integer or a float,",
            at.engine,
            "cast it to double",
        )
    if at.engine == "spark":
        return at.wrap(call("percentile", at.argument(to_double(value)), share))
    ordered = exp.Order(
        this=to_double(value), expressions=[exp.Ordered(this=value.copy(), nulls_first=False)]
    )
    array = at.wrap(exp.Anonymous(this="array_agg", expressions=[ordered]), also=not_null(value))
    place = f"((cardinality(v) - 1) * DOUBLE '{share.this}')"
    low, high = (f"v[cast({f}{place} as integer) + 1]" for f in ("floor", "ceiling"))
    rest = f"({place} - floor{place})"
    between = f"{low} * (1 - {rest}) + {high} * {rest}"  # of infinities too, as DuckDB has it
    body = f"v -> if({rest} = 0, {low}, {between})"
    return call("element_at", call("transform", call_array(array), raw(body)), number(1))


def call_array(node: exp.Expr) -> exp.Expr:
    """An array of one array, so that a lambda can name the inner one."""
    return exp.Array(expressions=[node])


def _list(node: exp.Expr, at: Call) -> exp.Expr:
    if at.over is not None and at.where is not None:
        raise refusal("a filtered list over a window", at.engine)
    return sorted_values(node.this, at)


def _first(node: exp.Expr, at: Call) -> exp.Expr:
    if not isinstance(node.this, exp.Order):
        # The compiler writes this only where all values are one and the same.
        name = "arbitrary" if at.engine == "trino" else "any_value"
        return at.wrap(call(name, node.this))
    return first_of_sorted(node.this, at)


def _last(node: exp.Expr, at: Call) -> exp.Expr:
    if not isinstance(node.this, exp.Order):
        raise refusal("last() without an order", at.engine)
    turned = node.this.copy()
    for key in turned.expressions:
        key.set("desc", not key.args.get("desc"))
        key.set("nulls_first", not key.args.get("nulls_first"))
    return first_of_sorted(turned, at)


def _any_value(node: exp.Expr, at: Call) -> exp.Expr:
    if not isinstance(node.this, exp.Order):
        if at.engine == "trino":
            return at.wrap(call("arbitrary", node.this))
        return at.wrap(call("any_value", node.this, exp.true()))
    tests = [t for t in (at.where, not_null(node.this.this)) if t is not None]
    return first_of_sorted(node.this, Call(at.engine, exp.and_(*tests), at.over))


def _string_agg(node: exp.Expr, at: Call) -> exp.Expr:
    separator = node.args.get("separator") or exp.Literal.string(",")
    value, keys, distinct = with_order(node.this)
    if at.engine == "spark":
        given: exp.Expr = exp.Distinct(expressions=[value]) if distinct else value
        function: exp.Expr = call("listagg", given, separator)
        if keys:
            function = exp.WithinGroup(this=function, expression=exp.Order(expressions=keys))
        return at.wrap(function)
    array = sorted_values(node.this, at)
    some = exp.GT(this=at.wrap(exp.Count(this=value.copy())), expression=number(0))
    return case((some, call("array_join", array, separator)))


def _extreme(node: exp.Expr, at: Call) -> exp.Expr:
    # DuckDB passes over rows without the value that is asked for.
    key = sort_key(node.expression) if at.engine == "trino" else node.expression
    place = case((not_null(node.this), key))
    return at.wrap(call(name_on(type(node), at.engine), node.this, at.argument(place)))


def _skewness(node: exp.Expr, at: Call) -> exp.Expr:
    raise refusal("skewness, which DuckDB corrects for the size of the sample,", at.engine)


#: Aggregates that every engine has, and how each call is written. Names are the registry's.
AGGREGATES: Mapping[type[exp.Expr], Handler] = {
    **dict.fromkeys((exp.Min, exp.LogicalOr, exp.LogicalAnd, exp.ApproxDistinct), _as_it_is),
    **dict.fromkeys(classes(lambda known: known.totals == "squares"), _spread),
    exp.Max: _max, exp.Count: _count, exp.CountIf: _count_if, exp.Sum: _sum, exp.Avg: _avg,
    exp.Median: _quantile, exp.PercentileCont: _quantile, exp.ArrayAgg: _list,
    exp.First: _first, exp.Last: _last, exp.AnyValue: _any_value, exp.GroupConcat: _string_agg,
    exp.ArgMax: _extreme, exp.ArgMin: _extreme, exp.Corr: _corr,
    exp.CovarSamp: _pairwise, exp.CovarPop: _pairwise, exp.Kurtosis: _kurtosis,
    exp.Skewness: _skewness,
}  # fmt: skip
