"""What a step adds to the running sums behind a feature table, where its aggregates are exact.

A count or a sum over a leaf's rows is linear in them: from (D0, T0) to (D1, T1) it changes by the
rows of D0 that start or end in (T0, T1], and by the rows added since that live at T1. So the table
keeps the sums themselves beside the values made of them, and a step reads these few rows only.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from feature_specs.compile.draft import Draft, IntervalForm, Term
from feature_specs.compile.leaves.leaf_tables import leaf_of
from feature_specs.compile.lowerings.interval_rows import interval_rows
from feature_specs.compile.lowerings.lower_cumulative import lowers_cumulatively
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.exact_types import is_float
from feature_specs.compile.variants.running_sums import RunningSums
from feature_specs.deltas import Deltas, Edge, added_relation, kept_relation
from feature_specs.instants import DAY_US
from feature_specs.leaf import Leaf

#: The most that a zone's offset and a date's end move an instant away from what a column says.
_SLACK = 3 * DAY_US


def read_deltas(draft: Draft) -> Deltas | None:
    """The deltas of a view; None where ``why_no_deltas`` says why."""
    if why_no_deltas(draft) is not None:
        return None
    form = draft.form
    assert form is not None
    leaf = _moving_leaf(draft, form)
    assert leaf is not None
    sums = RunningSums(draft, form)
    values = {part.name: sums.value(part) for part in form.aggregates}
    added = interval_rows(draft, form, {leaf.name: added_relation(leaf.name)})
    kept = interval_rows(draft, form, {leaf.name: kept_relation(leaf.name)})
    windows = [form.window, *(p.window for p in form.aggregates)]
    terms = dict.fromkeys(t for w in windows for t in (*w.starts, *w.ends))
    return Deltas(
        leaf=leaf.name,
        sums=sums.told(values),
        fold=sums.fold(added),
        deltas=sums.deltas(kept, added),
        finish=sums.finish(values),
        edges=_edges(leaf, terms),
        starts=_edges(leaf, form.window.starts),
        ends=_edges(leaf, form.window.ends),
    )


def why_no_deltas(draft: Draft) -> str | None:
    """None where a step may add deltas, else the reason why it must recompute."""
    form = draft.form
    if form is None:
        return draft.why_no_form or "the query has no interval form"
    if not form.grouped or not form.simple:
        return "the query is not a plain grouping of its leaves' rows"
    if form.having is not None:
        # A group that HAVING holds back has sums too, but no row to keep them in.
        return "HAVING hides groups whose sums would be lost"
    for part in form.aggregates:
        why = lowers_cumulatively(part)
        if why is None and isinstance(part.function, (exp.Sum, exp.Avg)):
            why = "floats leave residues" if is_float(part.function.this) else None
        if why is not None:
            return f"{duckdb_sql(part.function).lower()}: {why}"
    leaf = _moving_leaf(draft, form)
    if leaf is None:
        return "rows of other than one leaf come and go"
    windows = [form.window, *(p.window for p in form.aggregates)]
    for term in (t for w in windows for t in (*w.starts, *w.ends)):
        if edge_of(leaf, term) is None or not _belongs(draft, form, leaf, term):
            return f"no range of the leaf's rows is known by {duckdb_sql(term.instant)}"
    return None


def _moving_leaf(draft: Draft, form: IntervalForm) -> Leaf | None:
    """The one leaf, read once and never as the optional side of a join, beside static ones."""
    scans = list(form.source.find_all(exp.Table))
    start = form.source.args["from_"].this
    joins = [j.this for j in form.source.args.get("joins") or []]
    inner = [q for q in form.source.find_all(exp.Query) if q is not form.source]
    if inner or len(scans) != 1 + len(joins):
        return None
    if any(not isinstance(t, exp.Table) for t in (start, *joins)):
        return None
    moving: list[tuple[exp.Table, Leaf]] = []
    for scan in scans:
        leaf = leaf_of(draft, scan)
        if leaf is None:
            return None
        if leaf.role != "static":
            moving.append((scan, leaf))
    if len(moving) != 1:
        return None
    scan, leaf = moving[0]
    optional = [j.this for j in form.source.args.get("joins") or [] if j.side]
    return None if any(scan is t for t in optional) else leaf


def _belongs(draft: Draft, form: IntervalForm, leaf: Leaf, term: Term) -> bool:
    """The term speaks of the moving leaf's columns."""
    aliases = {
        t.alias_or_name for t in form.source.find_all(exp.Table) if leaf_of(draft, t) is leaf
    }
    return {c.table for c in term.instant.find_all(exp.Column)} <= aliases


def _edges(leaf: Leaf, terms: Iterable[Term]) -> tuple[Edge, ...]:
    found = (edge_of(leaf, term) for term in terms)
    return tuple(dict.fromkeys(e for e in found if e is not None))


def edge_of(leaf: Leaf, term: Term) -> Edge | None:
    """The column and offset that a term is; None where it is neither."""
    node = term.instant
    if term.on_axis:
        return None
    if isinstance(node, exp.Cast):  # a date, or the day after it
        node = node.this.this if isinstance(node.this, exp.Add) else node.this
    elif isinstance(node, exp.AtTimeZone):
        node = node.this
    if not isinstance(node, exp.Column):
        return None
    kind = leaf.columns.get(node.name, "").upper()
    if node is term.instant and ("TZ" in kind or "ZONE" in kind):
        return Edge(node.name, term.offset)
    if kind in ("TIMESTAMP", "DATETIME", "DATE"):
        return Edge(node.name, term.offset, _SLACK)
    return None
