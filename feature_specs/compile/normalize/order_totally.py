"""Make every order total: what depends on the order of rows gets tie-breakers, or is refused.

Rows that tie in the author's own order are told apart by their values, so that each variant, on
whatever engine, comes to the same answer; which one of the tied answers it is was never the
author's to rely on. Where there is no order at all nothing can be completed, and that is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.aggregate_calls import function_of, is_window_function
from feature_specs.compile.sql.aggregates import classes
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.errors import UnsafeQueryError

#: Window functions whose value depends on where a row stands among its peers.
_PLACED = (exp.RowNumber, exp.Ntile, exp.Lag, exp.Lead)
_VALUED = (exp.FirstValue, exp.LastValue, exp.NthValue, exp.First, exp.Last)
#: Aggregates that take an ORDER BY of their own.
_ORDERED = classes(lambda known: known.order == "takes")

#: A subquery that stands for an ASOF join's right side, one row for each place in the order.
ASOF_RIGHT = "asof_right"

#: Note on a term of an order that only settles ties, and on what arg_max compares to settle them.
TIE = "tie"


def order_totally(draft: Draft) -> Draft:
    """Complete ORDER BYs of windows, aggregates, LIMIT and DISTINCT ON.

    Raises:
        UnsafeQueryError: a construct depends on the order of rows and names none.

    >>> show(order_totally, "select k, list(x order by ts) as xs from events group by k")
    SELECT "events"."k" AS "k", ARRAY_AGG("events"."x" ORDER BY "events"."ts", "events"."x"
    ASC) AS "xs" FROM "events" AS "events" GROUP BY "events"."k"
    """
    tree = draft.tree.copy()
    for scope in traverse_scope(tree):
        if isinstance(scope.expression, exp.Select):
            _Completion(draft, scope, scope.expression).run()
        elif isinstance(scope.expression, exp.SetOperation):
            _complete_limit(draft, scope.expression)
    return replace(draft, tree=tree)


def _refuse(draft: Draft, node: exp.Expr, what: str, hint: str) -> NoReturn:
    raise UnsafeQueryError(what, where=draft.locate(node), hint=hint)


class _Completion:
    """The orders of one SELECT."""

    def __init__(self, draft: Draft, scope: Scope, select: exp.Select) -> None:
        self.draft, self.scope, self.select = draft, scope, select

    def run(self) -> None:
        self._asof_joins()
        self._distinct_on()
        for node in list(self._own_nodes()):
            if isinstance(node, exp.Window):
                self._window(node)
            elif isinstance(node, (exp.ArgMax, exp.ArgMin)):
                self._extreme(node)
            elif isinstance(node, exp.Mode):
                self._mode(node)
            elif isinstance(node, _ORDERED) and not is_window_function(node):
                self._aggregate(node)
        _complete_limit(self.draft, self.select)

    def _own_nodes(self) -> Iterator[exp.Expr]:
        """Nodes of this SELECT, not of queries inside it."""
        for key, value in self.select.args.items():
            if key in ("from_", "from", "with_", "with"):
                continue
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, exp.Expr):
                    yield from part.walk(prune=lambda n: isinstance(n, exp.Query))

    def _window(self, node: exp.Window) -> None:
        function = function_of(node.this)
        if isinstance(function, exp.Identifier):
            return
        spec = node.args.get("spec")
        by_rows = spec is not None and str(spec.args.get("kind")).upper() == "ROWS"
        listed = isinstance(function, (exp.ArrayAgg, exp.GroupConcat))
        if listed and not isinstance(function.this, exp.Order):
            self._windowed_list(function, node, by_rows=by_rows)
        if not isinstance(function, (*_PLACED, *_VALUED)) and not by_rows:
            return
        order = node.args.get("order")
        if order is None or not order.expressions:
            self._no_order(function)
        if isinstance(function, _VALUED) and not by_rows and not _reaches_both_ends(function, spec):
            _refuse(
                self.draft,
                function,
                f"{function.sql_name().lower()}() over a RANGE frame picks one of several peers",
                "add `rows between unbounded preceding and current row`",
            )
        _extend(order, self._columns())

    def _windowed_list(self, function: exp.Expr, window: exp.Window, *, by_rows: bool) -> None:
        """A list holds the rows of its frame in the window's order, where no two rows share a place."""
        if window.args.get("order") is None or isinstance(function.this, exp.Distinct):
            self._no_order(function)
        if not by_rows:
            _refuse(
                self.draft,
                function,
                f"{_written_name(function)}() over a RANGE frame holds peers in no order",
                "add `rows between unbounded preceding and current row`, "
                "or write an order within it, as in list(x order by ts)",
            )

    def _extreme(self, node: exp.ArgMax | exp.ArgMin) -> None:
        """Of the rows with the extreme value, the one whose argument is extreme too."""
        value, argument = node.expression, node.this
        if value is None and not isinstance(argument, exp.Order):
            return  # which DuckDB refuses
        if any(isinstance(n, exp.Order) for n in (value, argument)):
            name = _written_name(node)
            _refuse(
                self.draft,
                node,
                f"{name}() with an order of its own",
                f"let what is compared hold it: {name}(x, row(ts, id))",
            )
        pair = exp.Anonymous(this="row", expressions=[value.copy(), argument.copy()])
        known = exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))
        ranked = exp.case().when(known, pair)
        ranked.meta[TIE] = True
        node.set("expression", ranked)

    def _mode(self, node: exp.Mode) -> None:
        """Of the values that are the most frequent, the first in the author's order, if any."""
        if node.this is None:
            return  # which DuckDB refuses
        if isinstance(node.this, exp.Order):
            _extend(node.this, [node.this.this])
        else:
            node.set("this", _with_order(node.this, [_ordered(node.this)]))

    def _aggregate(self, node: exp.Expr) -> None:
        inner = node.this
        if _is_sorted_later(node):
            # Which order it has before does not matter: its own values give one.
            value = inner.expressions[0] if isinstance(inner, exp.Distinct) else inner
            if not isinstance(value, exp.Order):
                value.replace(_with_order(value, [_ordered(value)]))
            return
        if isinstance(inner, exp.Distinct):
            argument = inner.expressions[0]
            if not isinstance(argument, exp.Order):
                self._no_order(node)
            return
        if not isinstance(inner, exp.Order):
            self._no_order(node)
        if not isinstance(inner.this, exp.Distinct):  # what is distinct has no ties
            _extend(inner, [inner.this])

    def _no_order(self, node: exp.Expr) -> NoReturn:
        name = _written_name(node)
        _refuse(
            self.draft,
            node,
            f"{name}() depends on the order of rows, and no order is written",
            "use min or max, or write an order, as in first(x order by ts)",
        )

    def _columns(self) -> list[exp.Expr]:
        """What tells the rows apart that this SELECT works on: its groups, else all columns."""
        group = self.select.args.get("group")
        if group is not None:
            return [key for key in group.expressions if not isinstance(key, exp.Literal)]
        for name, (node, source) in self.scope.selected_sources.items():
            if isinstance(node, exp.UDTF) and not _source_columns(self.draft, source):
                what = f"rows that tie would be told apart by the columns of {name}, which have no name"
                _refuse(self.draft, node, what, f"name them: `as {name}(x)`")
        return list(_columns_of(self.draft, self.scope))

    def _distinct_on(self) -> None:
        distinct = self.select.args.get("distinct")
        on = distinct.args.get("on") if distinct is not None else None
        if distinct is None or on is None:
            return
        order = self.select.args.get("order")
        if order is None or self.select.args.get("qualify"):
            self._no_order(distinct)
        rank = exp.Window(
            this=exp.RowNumber(),
            partition_by=[self._written_out(e) for e in (on.expressions or [on])],
            order=exp.Order(expressions=[self._written_out(e) for e in order.expressions]),
        )
        self.select.set("distinct", None)
        self.select.set("order", None)
        self.select.set(
            "qualify",
            exp.Qualify(this=exp.EQ(this=rank, expression=exp.Literal.number(1))),
        )

    def _written_out(self, node: exp.Expr) -> exp.Expr:
        """A copy in which the names of select items are the items themselves."""
        items = {item.alias: item.unalias() for item in self.select.selects}
        return node.copy().transform(
            lambda n: (
                items[n.name].copy()
                if isinstance(n, exp.Column) and not n.table and n.name in items
                else n
            )
        )

    def _asof_joins(self) -> None:
        for join in self.select.args.get("joins") or []:
            if (join.args.get("method") or "").upper() != "ASOF":
                continue
            name = join.this.alias_or_name
            places = []
            for test in conjuncts(join.args.get("on")):
                sides = [s for s in test.iter_expressions() if _reads_only(s, name)]
                places += sides[:1]
            source = self.scope.sources.get(name)
            columns = _source_columns(self.draft, source)
            if not places or not columns:
                _refuse(self.draft, join, "an ASOF join without ON", "write its condition under ON")
            order = [_ordered(exp.column(c, table=name, quoted=True)) for c in columns]
            for term in order:
                term.meta[TIE] = True
            rank = exp.Window(
                this=exp.RowNumber(),
                partition_by=[p.copy() for p in places],
                order=exp.Order(expressions=order),
            )
            inner = exp.Select(
                expressions=[
                    exp.alias_(exp.column(c, table=name, quoted=True), c, quoted=True)
                    for c in columns
                ]
            ).from_(join.this.copy())
            inner.set(
                "qualify", exp.Qualify(this=exp.EQ(this=rank, expression=exp.Literal.number(1)))
            )
            wrapped = exp.Subquery(
                this=inner, alias=exp.TableAlias(this=exp.to_identifier(name, quoted=True))
            )
            wrapped.meta[ASOF_RIGHT] = join.this.copy()
            join.set("this", wrapped)


def _complete_limit(draft: Draft, query: exp.Query) -> None:
    """LIMIT keeps the first rows of an order: of one that is total over what the query returns."""
    if not any(query.args.get(k) for k in ("limit", "offset", "fetch")):
        query.set("order", None)  # without a limit it says nothing
        return
    order = query.args.get("order")
    if order is None:
        _refuse(
            draft,
            query.args.get("limit") or query,
            "LIMIT keeps rows by an order that is not written",
            "write ORDER BY, or make it a history view, whose latest row per entity is taken",
        )
    # A number in ORDER BY is a place in the select list, and a constant tells no rows apart.
    outputs = [e.copy() for e in (item.unalias() for item in query.selects) if not _is_constant(e)]
    if isinstance(query, exp.SetOperation):
        outputs = [exp.column(name, quoted=True) for name in query.named_selects]
    _extend(order, outputs)


def _is_constant(node: exp.Expr) -> bool:
    varies = (exp.Column, exp.Func, exp.Window, exp.Query, exp.UDTF, exp.Star)
    return not any(isinstance(n, varies) and not isinstance(n, exp.Cast) for n in node.walk())


def _reaches_both_ends(function: exp.Expr, spec: exp.Expr | None) -> bool:
    """A total order puts the same row at the frame's end for all peers."""
    from_start = spec is None or str(spec.args.get("start")).upper() == "UNBOUNDED"
    if isinstance(function, (exp.FirstValue, exp.First)):
        return from_start
    return from_start and spec is not None and str(spec.args.get("end")).upper() == "UNBOUNDED"


#: What a list's order does not matter to: sorting it, its length, and what counts or adds it up.
_UNORDERED = (exp.ArraySort, exp.ArrayMax, exp.ArrayMin, exp.ArraySize, exp.ArrayContains)
_UNORDERED_NAMES = frozenset({
    "list_sort", "list_reverse_sort", "array_reverse_sort", "len", "array_length", "length",
    "list_unique", "array_unique", "list_sum", "list_avg", "list_count", "list_min", "list_max",
    "list_median", "list_product", "list_bool_and", "list_bool_or", "list_bit_and", "list_bit_or",
    "list_bit_xor", "list_var_pop", "list_var_samp", "list_stddev_pop", "list_stddev_samp",
    "list_sem", "list_mad", "list_entropy", "list_skewness", "list_kurtosis", "list_kurtosis_pop",
    "list_histogram",
})  # fmt: skip


def _is_sorted_later(node: exp.Expr) -> bool:
    """list_sort(list(x)), list_max(list(x) filter (...)), and list_sort(list_distinct(list(x)))."""
    child, parent = node, node.parent
    while isinstance(parent, (exp.Filter, exp.Paren, exp.ArrayDistinct)):
        child, parent = parent, parent.parent
    if not isinstance(node, exp.ArrayAgg) or parent is None:
        return False
    if isinstance(parent, exp.Anonymous):
        return parent.name.lower() in _UNORDERED_NAMES and parent.expressions[0] is child
    return isinstance(parent, (*_UNORDERED, exp.Length)) and parent.this is child


def _extend(order: exp.Expr, columns: list[exp.Expr]) -> None:
    known = {o.this for o in order.expressions}
    last = order.expressions[-1]
    for column in columns:
        if column not in known:
            known.add(column)
            term = _ordered(column, desc=bool(last.args.get("desc")))
            term.meta[TIE] = True
            order.append("expressions", term)


def _ordered(node: exp.Expr, *, desc: bool = False) -> exp.Ordered:
    return exp.Ordered(this=node.copy(), desc=desc, nulls_first=False)


def _with_order(node: exp.Expr, keys: list[exp.Ordered]) -> exp.Expr:
    return exp.Order(this=node.copy(), expressions=list(keys))


def _columns_of(draft: Draft, scope: Scope) -> Iterator[exp.Expr]:
    for name, (_, source) in scope.selected_sources.items():
        for column in _source_columns(draft, source):
            yield exp.column(column, table=name, quoted=True)


def _source_columns(draft: Draft, source: object) -> list[str]:
    if isinstance(source, exp.Table):
        leaf = draft.leaves.get(source.name)
        return list(leaf.columns) if leaf is not None else []
    if isinstance(source, Scope):
        query = source.expression
        if isinstance(query, exp.Lateral) and not query.named_selects:
            query = query.this.unnest() if isinstance(query.this, exp.Subquery) else query
        return list(query.named_selects) if isinstance(query, (exp.Query, exp.UDTF)) else []
    return []


def _reads_only(node: exp.Expr, name: str) -> bool:
    columns = list(node.find_all(exp.Column))
    return bool(columns) and all(c.table == name for c in columns)


def _written_name(node: exp.Expr) -> str:
    if isinstance(node, exp.Distinct):
        return "distinct on "
    names = {"ArrayAgg": "list", "GroupConcat": "string_agg"}
    name = node.sql_name().lower() if isinstance(node, exp.Func) else node.key
    return names.get(type(node).__name__, name)
