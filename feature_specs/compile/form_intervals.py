"""Read a query as rows that live for intervals of t (DESIGN 3), where it is simple enough.

A select-project-join over one leaf with a life in time and any number of static leaves, with or
without a final GROUP BY, has an interval form. Everything else keeps ``form`` None and compiles by
decorrelation, which is right for every query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.merge_subqueries import merge_subqueries

from feature_specs.compile.clip_clock import clip_clock
from feature_specs.compile.draft import Contribution, Draft, IntervalForm, Term, Window
from feature_specs.compile.resolve_clock import has_clock
from feature_specs.compile.time_axis import event_offset, instant_of
from feature_specs.leaf import Leaf


class _NoFormError(Exception):
    """The query has no interval form here; the message says why."""


def form_intervals(draft: Draft) -> Draft:
    """Fill ``form``, or ``why_no_form``."""
    try:
        return replace(draft, form=_form(draft))
    except _NoFormError as reason:
        return replace(draft, why_no_form=str(reason))


def _form(draft: Draft) -> IntervalForm:
    tree = merge_subqueries(draft.stored.copy(), leave_tables_isolated=False)
    schema: dict[str, object] = {name: dict(x.columns) for name, x in draft.leaves.items()}
    tree = annotate_types(tree, schema=schema, dialect=draft.dialect)
    if not isinstance(tree, exp.Select):
        raise _NoFormError("the query is a set operation")
    _require_simple(tree)
    alias, leaf = _temporal_leaf(draft, tree)
    window = _leaf_window(draft, leaf, alias)
    _require_known(draft, tree)
    tests, window = _clip_where(tree, window)
    items = {s.alias: s.unalias() for s in tree.selects}
    for node in items.values():
        if any(has_clock(n) for n in _outside_filters(node)):
            raise _NoFormError("the clock is a quantity inside the query")
    source = _source(tree, tests)
    group = tree.args.get("group")
    if group is not None or any(s.find(exp.AggFunc) for s in tree.selects):
        return _grouped(draft, tree, source, window, items)
    event_time = items[draft.view.event_time] if draft.view.event_time else None
    return IntervalForm(
        source=source,
        keys=tuple(items[k] for k in draft.view.entities),
        columns={n: items[n] for n in draft.stored_names},
        window=window,
        event_time=event_time,
        tie_break=tuple(items[n] for n in draft.view.tie_break),
    )


def _require_simple(tree: exp.Select) -> None:
    for name, what in (("with_", "a CTE that is read twice or aggregates"), ("with", "a CTE"),
                       ("distinct", "DISTINCT"), ("qualify", "QUALIFY"), ("limit", "LIMIT"),
                       ("offset", "OFFSET"), ("laterals", "LATERAL"), ("windows", "WINDOW")):  # fmt: skip
        if tree.args.get(name):
            raise _NoFormError(f"the query has {what}")
    if tree.find(exp.Window):
        raise _NoFormError("the query has a window function")
    if len(list(tree.find_all(exp.Query))) > 1:
        raise _NoFormError("the query has a subquery that cannot be merged")
    group = tree.args.get("group")
    if group is not None and any(group.args.get(k) for k in ("cube", "rollup", "grouping_sets")):
        raise _NoFormError("the query groups by sets")


def _temporal_leaf(draft: Draft, tree: exp.Select) -> tuple[str, Leaf]:
    """The one leaf whose rows come and go, or a static one where all are static."""
    tables = list(tree.find_all(exp.Table))
    if not tables:
        raise _NoFormError("the query reads no leaf")
    scans = [(t.alias_or_name, draft.leaves[t.name]) for t in tables]
    living = [s for s in scans if s[1].role != "static"]
    if len(living) > 1:
        raise _NoFormError("the query joins several leaves with a life in time")
    if living and living[0][1].role in ("changelog", "history"):
        raise _NoFormError(f"the leaf {living[0][1].name} is a {living[0][1].role}")
    joins = tree.args.get("joins") or []
    for join in joins:
        if join.side not in ("", "LEFT") or join.kind in ("SEMI", "ANTI"):
            raise _NoFormError(f"the query has a {join.side or join.kind} join")
        if has_clock(join):
            raise _NoFormError("the clock stands in a join")
        if join.side == "LEFT" and living and join.alias_or_name == living[0][0]:
            raise _NoFormError("a leaf with a life in time is the outer side of a join")
    return living[0] if living else scans[0]


def _leaf_window(draft: Draft, leaf: Leaf, alias: str) -> Window:
    if leaf.event_time is None:
        return Window()
    starts = [Term(instant_of(leaf, leaf.event_time, alias), event_offset(draft))]
    if leaf.loaded_at is not None and leaf.visibility != "event":
        starts.append(Term(instant_of(leaf, leaf.loaded_at, alias)))
    return Window(starts=tuple(starts))


def _require_known(draft: Draft, tree: exp.Select) -> None:
    """A column whose value becomes known later than its row splits the row's life in two."""
    names = {t.alias_or_name: draft.leaves[t.name] for t in tree.find_all(exp.Table)}
    for column in tree.find_all(exp.Column):
        leaf = names.get(column.table)
        if leaf is None or column.name not in leaf.known_later:
            continue
        known = leaf.known_later[column.name]
        if leaf.role == "arrival" and known == leaf.loaded_at:
            continue
        raise _NoFormError(f"{leaf.name}.{column.name} is known later than its row")


def _clip_where(tree: exp.Select, window: Window) -> tuple[list[exp.Expr], Window]:
    where = tree.args.get("where")
    tests: list[exp.Expr] = []
    for test in _conjuncts(where.this if where else None):
        if not has_clock(test):
            tests.append(test)
            continue
        clip = clip_clock(test)
        if clip is None:
            raise _NoFormError(f"the clock stands in {test.sql('duckdb')}, which is no plain bound")
        window = window.clip(clip)
    return tests, window


def _conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    if node is None:
        return
    if isinstance(node, exp.Paren):
        yield from _conjuncts(node.this)
    elif isinstance(node, exp.And):
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    elif isinstance(node, exp.Between):
        yield exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
        yield exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
    else:
        yield node


def _source(tree: exp.Select, tests: list[exp.Expr]) -> exp.Select:
    source = exp.Select()
    for name in ("from_", "from", "joins"):
        if tree.args.get(name):
            source.set(name, tree.args[name])
    for test in tests:
        source = source.where(test)
    return source


def _grouped(
    draft: Draft,
    tree: exp.Select,
    source: exp.Select,
    window: Window,
    items: dict[str, exp.Expr],
) -> IntervalForm:
    group = tree.args.get("group")
    keys = [_unparen(k) for k in (group.expressions if group else [])]
    wanted = [items[k] for k in draft.view.entities]
    if sorted(k.sql() for k in keys) != sorted(k.sql() for k in wanted):
        raise _NoFormError("the query does not group by exactly its entities")
    if draft.view.event_time is not None:
        raise _NoFormError("a history view aggregates")
    gather = _Gather(draft, window, wanted)
    having = tree.args.get("having")
    columns = {n: gather.take(items[n]) for n in draft.stored_names}
    test = gather.take(having.this) if having else None
    if test is not None and has_clock(test):
        raise _NoFormError("the clock stands in HAVING")
    return IntervalForm(
        source=source,
        keys=tuple(wanted),
        columns=columns,
        window=window,
        contributions=tuple(gather.contributions.values()),
        having=test,
        grouped=True,
    )


class _Gather:
    """Takes the aggregates out of expressions, leaving columns named for them."""

    def __init__(self, draft: Draft, window: Window, keys: list[exp.Expr]) -> None:
        self.window = window
        self.keys = dict(zip(keys, draft.view.entities, strict=True))
        self.contributions: dict[exp.Expr, Contribution] = {}

    def take(self, node: exp.Expr) -> exp.Expr:
        return node.copy().transform(self._replace)

    def _replace(self, node: exp.Expr) -> exp.Expr:
        if isinstance(node, (exp.Filter, exp.AggFunc)):
            return exp.column(self._contribution(node).name, quoted=True)
        if node in self.keys:
            return exp.column(self.keys[node], quoted=True)
        return node

    def _contribution(self, node: exp.Expr) -> Contribution:
        if node not in self.contributions:
            function = node.this if isinstance(node, exp.Filter) else node
            test = node.expression.this if isinstance(node, exp.Filter) else None
            if has_clock(function):
                raise _NoFormError("the clock is a quantity inside an aggregate")
            window, plain = self.window, []
            for part in _conjuncts(test):
                clip = clip_clock(part) if has_clock(part) else None
                if has_clock(part) and clip is None:
                    raise _NoFormError(
                        f"the clock stands in {part.sql('duckdb')}, which is no plain bound"
                    )
                if clip is None:
                    plain.append(part)
                else:
                    window = window.clip(clip)
            self.contributions[node] = Contribution(
                f"agg{len(self.contributions) + 1}",
                function,
                exp.and_(*plain) if plain else None,
                tighten(window),
            )
        return self.contributions[node]


def tighten(window: Window) -> Window:
    """Drop bounds that another bound on the same instant implies."""
    return Window(_strongest(window.starts, max), _strongest(window.ends, min))


def _strongest(terms: tuple[Term, ...], pick: Callable[[int, int], int]) -> tuple[Term, ...]:
    offsets: dict[exp.Expr, int] = {}
    for term in terms:
        known = offsets.get(term.instant)
        offsets[term.instant] = term.offset if known is None else pick(known, term.offset)
    return tuple(Term(instant, offset) for instant, offset in offsets.items())


def _unparen(node: exp.Expr) -> exp.Expr:
    return node.this if isinstance(node, exp.Paren) else node


def _outside_filters(node: exp.Expr) -> Iterator[exp.Expr]:
    """The parts of a select item in which a clock cannot be a plain bound."""
    for part in node.walk(prune=lambda n: isinstance(n, exp.Filter)):
        if not isinstance(part, exp.Filter) and isinstance(part, exp.CurrentTimestamp):
            yield part
