"""Cut every leaf of a query down to the rows visible at an instant, and bind the clock to it.

This is the definition of F (DESIGN 2) written as SQL: the form that is right for every query.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.leaf_tables import leaf_table
from feature_specs.compile.sql.clock import bind_clock
from feature_specs.compile.sql.time_axis import instant_of, valid_to_of
from feature_specs.leaf import Leaf


def bound_leaves(draft: Draft, tree: exp.Query, instant: exp.Expr) -> exp.Query:
    """A copy of ``tree`` that reads only what was visible at ``instant``.

    Args:
        instant: a timestamp with time zone: a literal, a parameter or a column of an outer query.
    """
    bound = bind_clock(tree, instant)
    for table in list(bound.find_all(exp.Table)):
        leaf = draft.leaves.get(table.name) if not table.db else None
        if leaf is None:
            continue
        scan = exp.Subquery(
            this=cut_leaf(draft, leaf, instant),
            alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True)),
            joins=table.args.get("joins"),
        )
        table.replace(scan)
    assert isinstance(bound, exp.Query)
    return bound


def cut_leaf(draft: Draft, leaf: Leaf, instant: exp.Expr) -> exp.Select:
    """The rows of a leaf visible at an instant, with what was not known yet read as null."""
    bounds = visible_at(draft, leaf, instant)
    select = exp.select(*(masked(leaf, c, instant) for c in leaf.columns)).from_(leaf_table(leaf))
    for bound in bounds:
        select = select.where(bound)
    if leaf.changelog is None:
        return select
    return _latest_change(draft, leaf, select)


def visible_at(draft: Draft, leaf: Leaf, instant: exp.Expr) -> list[exp.Expr]:
    """The predicates that hold for a row exactly when it is visible at ``instant``."""
    predicates: list[exp.Expr] = []
    if leaf.event_time is not None:
        order = exp.LT if draft.view.boundary == "exclusive" else exp.LTE
        predicates.append(order(this=instant_of(leaf, leaf.event_time), expression=instant.copy()))
        if leaf.loaded_at is not None and leaf.visibility != "event":
            predicates.append(
                exp.LTE(this=instant_of(leaf, leaf.loaded_at), expression=instant.copy())
            )
    if leaf.valid_from is not None:
        start = instant_of(leaf, leaf.valid_from)
        predicates.append(exp.LTE(this=start, expression=instant.copy()))
        if leaf.valid_to is not None:
            end = valid_to_of(leaf)
            predicates.append(_or_null(exp.LT(this=start.copy(), expression=end.copy()), end))
            if leaf.visibility != "history":
                predicates.append(_or_null(exp.LT(this=instant.copy(), expression=end.copy()), end))
    return predicates


def masked(leaf: Leaf, column: str, instant: exp.Expr) -> exp.Expr:
    """A column of a leaf, null while its value is not known at ``instant``."""
    node: exp.Expr = exp.column(column, quoted=True)
    known: exp.Expr | None = None
    if column == leaf.valid_to:
        node, known = _open_as_null(leaf, column), valid_to_of(leaf)
    elif column in leaf.known_later:
        known = instant_of(leaf, leaf.known_later[column])
    if known is None:
        return node
    seen = exp.LTE(this=known, expression=instant.copy())
    return exp.alias_(exp.case().when(seen, node), column, quoted=True)


def _open_as_null(leaf: Leaf, column: str) -> exp.Expr:
    node = exp.column(column, quoted=True)
    if leaf.valid_to_open is None:
        return node
    sentinel = exp.cast(exp.Literal.string(leaf.valid_to_open), leaf.columns[column])
    return exp.Nullif(this=node, expression=sentinel)


def _or_null(test: exp.Expr, value: exp.Expr) -> exp.Expr:
    return exp.paren(exp.or_(exp.Is(this=value.copy(), expression=exp.Null()), test))


def change_order(draft: Draft, leaf: Leaf) -> list[exp.Expr]:
    """What a key's changes are ordered by, descending and nulls last: the first answers.

    The latest; of several of one event_time the one that became visible last, then the greatest by
    the other columns in declared order, null least.
    """
    assert leaf.event_time is not None
    order: list[exp.Expr] = [exp.column(leaf.event_time, quoted=True)]
    if leaf.loaded_at is not None and leaf.visibility != "event":
        happened = instant_of(leaf, leaf.event_time)
        if draft.view.boundary == "exclusive":
            least = exp.Interval(this=exp.Literal.string("1"), unit=exp.var("MICROSECOND"))
            happened = exp.Add(this=happened, expression=least)
        loaded = instant_of(leaf, leaf.loaded_at)
        order.append(exp.Greatest(this=happened, expressions=[loaded], ignore_nulls=True))
    order += [exp.column(c, quoted=True) for c in leaf.columns if c != leaf.event_time]
    return order


def _latest_change(draft: Draft, leaf: Leaf, changes: exp.Select) -> exp.Select:
    """Of the visible changes, each key's latest, unless that deletes it."""
    assert leaf.changelog is not None
    parts = change_order(draft, leaf)
    order = exp.Order(
        expressions=[exp.Ordered(this=part, desc=True, nulls_first=False) for part in parts]
    )
    keys = [exp.column(k, quoted=True) for k in leaf.changelog.key]
    rank = exp.Window(this=exp.RowNumber(), partition_by=keys, order=order, over="OVER")
    ranked = changes.select(exp.alias_(rank, "forebay_change"))
    deleted = exp.column(leaf.changelog.deleted, quoted=True)
    return (
        exp.select(*(exp.column(c, quoted=True) for c in leaf.columns))
        .from_(ranked.subquery("changes"))
        .where("forebay_change = 1")
        .where(exp.Not(this=exp.Coalesce(this=deleted, expressions=[exp.false()])))
    )
