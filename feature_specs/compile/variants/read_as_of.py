"""As-of: the stored columns of every entity at one instant, F(D, T)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from feature_specs.compile.draft import Draft, IntervalForm
from feature_specs.compile.leaves.bound_leaves import bound_leaves
from feature_specs.compile.lowerings.interval_rows import interval_rows
from feature_specs.compile.lowerings.lower_decorrelated import row_order
from feature_specs.compile.lowerings.lowered import ViewScope
from feature_specs.compile.lowerings.rank_rows_of_history import answers_sql, ranking
from feature_specs.compile.sql.conjuncts import narrow
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.lay_out import lay_out
from feature_specs.compile.sql.one_row_guard import one_row_guard
from feature_specs.compile.sql.relation_names import relation_key
from feature_specs.compile.variants.edge_ranges import edge_ranges
from feature_specs.compile.variants.restrict_keys import restrict_keys
from feature_specs.compile.variants.trace_keys import Changes, trace_keys
from feature_specs.compile.variants.traced import UntracedError
from feature_specs.quote import quoted


def read_as_of(draft: Draft, instant: exp.Expr, *, only: str | None = None) -> str:
    """SQL of the keys, event_time and stored columns of F(D, T), a row per entity.

    Args:
        instant: T, a timestamp with time zone.
        only: a relation of keys; other entities are left out, before they are computed.
    """
    form = draft.form
    if form is not None and not form.grouped and form.event_time is not None:
        return _latest(draft, instant, only)
    cut = bound_leaves(draft, draft.stored, instant)
    if only is not None and form is not None and form.simple and isinstance(cut, exp.Select):
        return _guarded(draft, _restricted(draft, cut, only), None)
    if only is not None:
        cut = restrict_keys(cut, {e: e for e in draft.view.entities}, only)
    return _guarded(draft, cut, only)


def _restricted(draft: Draft, cut: exp.Select, only: str) -> exp.Select:
    """Push the wanted keys below the aggregation, where the key is an expression of the rows."""
    items = {s.alias: s.unalias() for s in cut.selects}
    keys = [duckdb_sql(items[k]) for k in draft.view.entities]
    listed = ", ".join(quoted(k) for k in draft.view.entities)
    return narrow(cut, f"({', '.join(keys)}) in (select ({listed}) from {only})")


def _guarded(draft: Draft, cut: exp.Query, only: str | None) -> str:
    view = draft.view
    keys = ", ".join(f"q.{quoted(k)}" for k in view.entities)
    names = [*view.entities, *([view.event_time] if view.event_time else []), *draft.stored_names]
    tests = [f"not q.{quoted(k)} is null" for k in view.entities]
    if only is not None:
        listed = ", ".join(quoted(k) for k in view.entities)
        tests.append(f"({keys}) in (select ({listed}) from {only})")
    if view.event_time is not None:
        tests.append(f"not q.{quoted(view.event_time)} is null")
        keep = f"row_number() over (partition by {keys} order by {row_order(draft)}) = 1"
    elif draft.form is not None and (draft.form.grouped or draft.form.unique):
        keep = ""
    else:
        keep = one_row_guard(view.name, keys)
    columns = ", ".join(f"q.{quoted(n)}" for n in names)
    return lay_out(
        f"select {columns} from ({duckdb_sql(cut)}) as q where {' and '.join(tests)} "
        + (f"qualify {keep}" if keep else "")
    )


def _latest(draft: Draft, instant: exp.Expr, only: str | None) -> str:
    assert draft.form is not None
    rows = interval_rows(draft, draft.form)
    view = draft.view
    scope = ViewScope(view.name, tuple(view.entities), draft.form, rows, view.event_time)
    keys = ", ".join(scope.keys)
    values = answers_sql(scope)
    tests = [f"{rows.starts[0]} <= epoch_us({duckdb_sql(instant)})"]
    if rows.ends[0] is not None:
        tests.append(f"epoch_us({duckdb_sql(instant)}) < {rows.ends[0]}")
    if only is not None:
        tests.append(f"({keys}) in (select ({keys}) from {only})")
    return lay_out(
        f"select {keys}, {values} from ({rows.sql}) as alive where {' and '.join(tests)} "
        f"qualify row_number() over (partition by {keys} order by {ranking(scope)}) = 1"
    )


def _reads_twice(form: IntervalForm) -> bool:
    """A leaf stands beside itself: rows added to it would have to be met by those it had."""
    scans = [relation_key(t) for t in form.source.find_all(exp.Table)]
    return len(set(scans)) < len(scans)


@dataclass(frozen=True)
class Touched:
    """SQL of the keys whose features may differ; None where any may, and why that is."""

    sql: str | None
    why: str = ""


def touched_keys(draft: Draft, before: exp.Expr, after: exp.Expr, changes: Changes) -> Touched:
    """The keys whose features may differ between (D0, T0) and (D1, T1).

    A key is touched when a row of it starts or ends in (T0, T1], or was added or removed and has
    started; where the rows are not those of a plain join, when any row on its way to it is.
    """
    form = draft.form
    if form is None or not form.simple or _reads_twice(form):
        try:
            return Touched(lay_out(trace_keys(draft, before, after, changes)))
        except UntracedError as error:
            return Touched(None, str(error))
    keys = ", ".join(quoted(k) for k in draft.view.entities)
    low, high = (f"epoch_us({duckdb_sql(t)})" for t in (before, after))
    low, high = f"least({low}, {high})", f"greatest({low}, {high})"
    rows = interval_rows(draft, form)
    edges = {c for c in (*rows.starts, *rows.ends) if c is not None}
    crossed = " or ".join(f"({c} > {low} and {c} <= {high})" for c in sorted(edges))
    queries = []
    for range_ in edge_ranges(draft, form, low, high) or ["true"]:
        near = replace(form, source=narrow(form.source.copy(), range_))
        moved = interval_rows(draft, near).sql
        queries.append(f"select {keys} from ({moved}) as moved where {crossed}")
    for relations in changes.each():
        changed = interval_rows(draft, form, relations)
        queries.append(
            f"select {keys} from ({changed.sql}) as changed where {changed.starts[0]} <= {high}"
        )
    return Touched(lay_out(" union ".join(queries)))
