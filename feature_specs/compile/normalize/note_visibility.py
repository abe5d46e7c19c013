"""Add the instant at which all source rows of a history row had become visible.

Of two rows of one event_time the one that became visible last answers. Where rows are plain rows of a
leaf, their lifetimes say it. Elsewhere a lifetime says when a row came to be what it is, and begins
anew when another row changes a window over it, or when a value of it becomes known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import sqlglot
from sqlglot import exp

from feature_specs.compile.draft import Draft, Term
from feature_specs.compile.leaves.leaf_window import leaf_window
from feature_specs.compile.sql.aggregate_calls import has_aggregates
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.compile.sql.relation_names import relation_key
from feature_specs.compile.sql.time_axis import latest_sql

#: On the microsecond axis; null for a row that no leaf's row is in.
SEEN = "fb_seen"

#: A row of these is made of many, or of any one of several.
_MANY = ("distinct", "group", "having", "limit", "offset")


def note_visibility(draft: Draft) -> Draft:
    """Add ``fb_seen`` to what a history view's query gives, where its leaves can say it.

    >>> show(
    ...     note_visibility,
    ...     "select e.k, e.ts, v.plan from events as e join versions as v on v.k = e.k",
    ... )
    SELECT "e"."k" AS "k", "e"."ts" AS "ts", "v"."plan" AS "plan",
    GREATEST(COALESCE(EPOCH_US("e"."ts"), CASE "e"."ts" WHEN 'infinity' THEN
    2305843009213693952 WHEN '-infinity' THEN -2305843009213693952 END),
    COALESCE(EPOCH_US("v"."since"), CASE "v"."since" WHEN 'infinity' THEN
    2305843009213693952 WHEN '-infinity' THEN -2305843009213693952 END)) AS "fb_seen" FROM
    "events" AS "e" JOIN "versions" AS "v" ON "v"."k" = "e"."k"
    """
    if draft.view.event_time is None or is_event_of_one(draft):
        return draft
    stored = draft.stored.copy()
    named = {cte.alias: cte.this for cte in stored.find_all(exp.CTE)}
    noted = _note(draft, stored, named, {})
    return replace(draft, stored=stored) if noted else draft


def is_event_of_one(draft: Draft) -> bool:
    """One leaf comes and goes, and its rows are visible from the view's own event_time on."""
    moving = [leaf for leaf in draft.leaves.values() if leaf.role != "static"]
    items = {s.alias_or_name: s.unalias() for s in draft.stored.selects}
    time = items.get(draft.view.event_time or "")
    events = [leaf.event_time for leaf in moving if leaf.role == "event"]
    simple = isinstance(draft.stored, exp.Select) and isinstance(time, exp.Column)
    return simple and len(moving) == 1 and events == [time.name if time is not None else ""]


def sees(draft: Draft) -> bool:
    """The stored query has the column."""
    return SEEN in draft.stored.named_selects


def _note(
    draft: Draft, query: exp.Expr, named: Mapping[str, exp.Expr], done: dict[int, bool]
) -> bool:
    """Add the column to a query and to those that it reads; False where that cannot be."""
    query = query.unnest()
    if id(query) not in done:
        done[id(query)] = False  # a query that reads itself has no such column
        if isinstance(query, exp.Union) and not query.args.get("distinct"):
            done[id(query)] = _note_both(draft, query, named, done)
        elif isinstance(query, exp.Select):
            done[id(query)] = _note_select(draft, query, named, done)
    return done[id(query)]


def _note_both(
    draft: Draft, query: exp.Union, named: Mapping[str, exp.Expr], done: dict[int, bool]
) -> bool:
    sides = [query.this.unnest(), query.expression.unnest()]
    noted = [_note(draft, side, named, done) for side in sides]
    if not any(noted):
        return False
    for side, known in zip(sides, noted, strict=True):
        if not known:
            _give(side, exp.cast(exp.Null(), "bigint"))
    return True


def _note_select(
    draft: Draft, select: exp.Select, named: Mapping[str, exp.Expr], done: dict[int, bool]
) -> bool:
    if any(select.args.get(part) for part in _MANY) or has_aggregates(select):
        return False
    terms: list[Term] = []
    for source in _sources(select):
        alias = source.alias_or_name
        inner: exp.Expr | None = source.this
        leaf = None
        if isinstance(source, exp.Table):
            inner = None if source.db else named.get(source.name)
            leaf = draft.leaves.get(relation_key(source)) if inner is None else None
        if leaf is not None:
            terms += leaf_window(draft, leaf, alias).starts
        elif inner is not None and _note(draft, inner, named, done):
            terms.append(Term(exp.column(SEEN, table=alias, quoted=True), on_axis=True))
    text = latest_sql(terms)
    if text is not None:
        _give(select, sqlglot.parse_one(text, dialect=DUCKDB))
    return text is not None


def _sources(select: exp.Select) -> Iterator[exp.Expr]:
    """Tables, subqueries and laterals whose rows a row of the SELECT is made of."""
    start = select.args.get("from_")
    yield from _flat(start.this) if start is not None else ()
    for join in select.args.get("joins") or []:
        # Of an ASOF join's right side the same row is beside all that tie.
        if join.kind not in ("SEMI", "ANTI") and join.method != "ASOF":
            yield from _flat(join.this)
    yield from select.args.get("laterals") or []


def _flat(source: exp.Expr) -> Iterator[exp.Expr]:
    """A source of FROM, or the sources of a join in parentheses."""
    if isinstance(source, exp.Table) or isinstance(source.this, (exp.Query, exp.Subquery)):
        yield source
    elif isinstance(source, (exp.Subquery, exp.Paren)):
        yield from _flat(source.this)
    for join in source.args.get("joins") or []:
        yield from _flat(join.this)


def _give(query: exp.Expr, value: exp.Expr) -> None:
    if isinstance(query, exp.SetOperation):
        for side in (query.this, query.expression):
            _give(side.unnest(), value)
    elif isinstance(query, exp.Select):
        query.select(exp.alias_(value.copy(), SEEN, quoted=True), copy=False)
