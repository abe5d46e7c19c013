"""Read a query as rows that live for intervals of t (DESIGN 3), where it has such a form.

What has none, such as the clock as a quantity inside an aggregate or a calendar window, keeps
``form`` None and compiles by decorrelation, which is right for every query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types

from feature_specs.compile.draft import Draft, IntervalForm, Term, Window
from feature_specs.compile.intervals.block import Block
from feature_specs.compile.intervals.derive_intervals import (
    GroupedQuery,
    RowQuery,
    as_rows,
    derive_intervals,
    derive_select,
    unique_outputs,
)
from feature_specs.compile.intervals.interval_relation import CteBuilder, NoFormError
from feature_specs.compile.intervals.keep_certain_types import keep_certain_types, outputs_of
from feature_specs.compile.intervals.merge_queries import merge_queries
from feature_specs.compile.intervals.push_ranks import push_ranks
from feature_specs.compile.intervals.strip_notes import strip_places, strip_types
from feature_specs.compile.leaves.leaf_tables import leaf_of
from feature_specs.compile.leaves.leaf_window import leaf_window
from feature_specs.compile.normalize.note_visibility import SEEN
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.errors import TimeRoleError
from feature_specs.time_zones import is_utc

#: Before the operators are read: what lets more queries have a form.
PREPARING: tuple[Callable[[exp.Query], exp.Query], ...] = (
    push_ranks,  # first, since a rank in a subquery keeps it from being merged
    merge_queries,
)


def form_intervals(draft: Draft) -> Draft:
    """Fill ``form``, or ``why_no_form``."""
    draft = replace(draft, stored=strip_places(draft.stored.copy()))
    _check_ttl(draft)
    tree = _typed(draft)
    draft = replace(draft, key_types=tuple(_key_type(tree, e) for e in draft.view.entities))
    try:
        return replace(draft, form=_form(draft, tree))
    except NoFormError as reason:
        return replace(draft, why_no_form=str(reason))


def _typed(draft: Draft) -> exp.Query:
    """The stored query, its subqueries merged, with the types that DuckDB surely has."""
    tree = draft.stored
    for step in PREPARING:
        tree = step(tree)
    annotate_types(tree, schema=draft.schema, dialect=DUCKDB)
    keep_certain_types(tree)
    return tree


def _key_type(query: exp.Expr, entity: str) -> exp.DataType | None:
    kinds = [item.type for item in outputs_of(query, entity)]
    sure = bool(kinds) and all(kind == kinds[0] for kind in kinds)
    return kinds[0] if sure and kinds[0] and kinds[0].this != exp.DType.UNKNOWN else None


def _check_sides(tree: exp.Expr) -> None:
    """Raises NoFormError where a row of EXCEPT or INTERSECT would have its own side's type."""
    for query in tree.find_all(exp.Except, exp.Intersect):
        for mine, theirs in zip(query.this.selects, query.expression.selects, strict=True):
            kind = mine.unalias().type
            if kind is None or kind != theirs.unalias().type or kind.this == exp.DType.UNKNOWN:
                raise NoFormError(f"the sides of {query.key.upper()} may be of different types")


def _check_stars(draft: Draft) -> None:
    """Raises NoFormError where a subquery's row is counted as a whole, which merging would lose."""
    tables = {t.alias_or_name for t in draft.stored.find_all(exp.Table)}
    tables -= {cte.alias for cte in draft.stored.find_all(exp.CTE)}
    for column in draft.stored.find_all(exp.Column):
        if isinstance(column.this, exp.Star) and column.table not in tables:
            raise NoFormError(f"{column.table}.* is a subquery's row as a whole")


def _check_ttl(draft: Draft) -> None:
    """The age of a row is counted in UTC, offline and online, and a date's from its start.

    Raises:
        TimeRoleError: ttl, and an event_time that is a wall clock's elsewhere, or a date that is
            older than the ttl by the time it is seen.
    """
    view = draft.view
    named = {leaf.timezone for leaf in draft.leaves.values() if leaf.timezone}
    zones = [zone for zone in sorted(named) if not is_utc(zone)]
    ends = any(leaf.date_visible != "start" for leaf in draft.leaves.values())
    short = view.ttl is not None and view.ttl <= timedelta(days=1) and ends
    if view.ttl is None or view.event_time is None or not (zones or short):
        return
    tree = annotate_types(draft.stored.copy(), schema=draft.schema, dialect=DUCKDB)
    kinds = {s.alias_or_name: s.unalias().type for s in tree.selects}
    kind = kinds.get(view.event_time)
    if short and kind is not None and kind.this == exp.DType.DATE:
        raise TimeRoleError(
            f"ttl is counted from the start of the date {view.event_time}, which is seen at its end: "
            f"with a ttl of {view.ttl} no row would ever count",
            where=draft.file,
            hint="add a day to the ttl, or declare date_visible: start",
        )
    if zones and (kind is None or kind.this not in (exp.DType.TIMESTAMPTZ, exp.DType.DATE)):
        raise TimeRoleError(
            f"ttl is counted from {view.event_time}, a timestamp without a time zone, in UTC, but "
            f"{zones[0]} is declared",
            where=draft.file,
            hint=f"select it as `{view.event_time} at time zone '{zones[0]}'`",
        )


def _form(draft: Draft, tree: exp.Query) -> IntervalForm:
    _check_stars(draft)
    _check_sides(tree)
    strip_types(strip_places(tree), unasked_only=True)
    ctes = CteBuilder(draft)
    if not isinstance(tree, exp.Select):
        relation = derive_intervals(ctes, tree, {})
        block = Block(ctes, exp.Select(), {})
        block.add_relation(relation, "fb_rows")
        items = {c: exp.column(c, table="fb_rows", quoted=True) for c in relation.columns}
        return _rows_form(draft, RowQuery(block, items))
    selected = derive_select(ctes, tree, {})
    if isinstance(selected, GroupedQuery) and _groups_by_entities(draft, selected):
        return _grouped_form(draft, selected)
    return _rows_form(draft, as_rows(selected))


def _groups_by_entities(draft: Draft, grouped: GroupedQuery) -> bool:
    if draft.view.event_time is not None or not grouped.keys:
        return False
    wanted = sorted(str(_key_place(grouped.items[e])) for e in draft.view.entities)
    return wanted == sorted(f"key{i}" for i in range(len(grouped.keys)))


def _key_place(node: exp.Expr) -> str | None:
    return node.name if isinstance(node, exp.Column) else None


def _grouped_form(draft: Draft, grouped: GroupedQuery) -> IntervalForm:
    entities = {grouped.items[e].name: e for e in draft.view.entities}
    keys = {f"key{i}": k for i, k in enumerate(grouped.keys)}

    def named(node: exp.Expr) -> exp.Expr:
        """Keys by the entities' names, and aggregates without a table."""
        if isinstance(node, exp.Column):
            column = exp.column(entities.get(node.name, node.name), quoted=True)
            column.type = node.type
            return column
        return node

    of_entity: Mapping[str, exp.Expr] = {e: keys[place] for place, e in entities.items()}
    return IntervalForm(
        source=strip_types(grouped.block.source),
        keys=tuple(strip_types(of_entity[e]) for e in draft.view.entities),
        columns={n: strip_types(grouped.items[n].transform(named)) for n in draft.stored_names},
        window=grouped.block.window,
        aggregates=grouped.aggregates,
        having=strip_types(grouped.having.transform(named)) if grouped.having is not None else None,
        grouped=True,
        prelude=tuple(grouped.block.ctes.made),
        unique=True,
        rows_per_key=_rows_per_key(draft),
    )


def _rows_form(draft: Draft, row_query: RowQuery) -> IntervalForm:
    view, items = draft.view, row_query.items
    unique = unique_outputs(row_query)
    form = IntervalForm(
        source=strip_types(row_query.block.source),
        keys=tuple(strip_types(items[k]) for k in view.entities),
        columns={n: strip_types(items[n]) for n in draft.stored_names},
        window=row_query.block.window,
        event_time=items[view.event_time] if view.event_time else None,
        tie_break=tuple(items[n] for n in view.tie_break),
        prelude=tuple(row_query.block.ctes.made),
        unique=unique is not None and unique <= set(view.entities),
        rows_per_key=_rows_per_key(draft),
    )
    # Plain rows of leaves say it by their lifetimes.
    visible = _visible(draft, form, None if form.simple else items.get(SEEN))
    return form if visible == form.window.starts else replace(form, visible=visible)


def _visible(draft: Draft, form: IntervalForm, seen: exp.Expr | None) -> tuple[Term, ...]:
    """When the leaves of a row had become visible; its event_time where that cannot be told."""
    if form.event_time is None:
        return form.window.starts
    if seen is not None:
        return (Term(seen, on_axis=True),)
    if not form.simple:
        return (Term(form.event_time),)
    window = Window()
    for scan in form.source.find_all(exp.Table):
        leaf = leaf_of(draft, scan)
        if leaf is not None:
            window = window.clip(leaf_window(draft, leaf, scan.alias_or_name))
    return window.starts


def _rows_per_key(draft: Draft) -> float | None:
    """The most rows per key of the leaves that come and go; None where one does not declare it."""
    told = [leaf.rows_per_key for leaf in draft.leaves.values() if leaf.role != "static"]
    known = [rows for rows in told if rows is not None]
    return max(known) if known and len(known) == len(told) else None
