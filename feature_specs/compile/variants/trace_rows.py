"""The source rows from which one entity's vector came."""

from __future__ import annotations

import sqlglot

from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.bound_leaves import bound_leaves
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.lay_out import lay_out
from feature_specs.compile.sql.time_axis import earliest_sql, latest_sql
from feature_specs.quote import quoted


def trace_rows(draft: Draft, spine: str, timestamp: str) -> str | None:
    """SQL of the rows alive for a spine of one row, the newest first, with what was known then.

    None where the view has no interval form, so that no single row stands for itself.
    """
    form = draft.form
    if form is None or not form.simple:
        return None
    query = form.source.copy().select("*")
    for key, name in zip(form.keys, draft.view.entities, strict=True):
        query = query.where(
            f"{duckdb_sql(key)} = (select {quoted(name)} from {spine})", dialect=DUCKDB
        )
    asked = f"epoch_us((select {quoted(timestamp)} from {spine}))"
    start, end = latest_sql(form.window.starts), earliest_sql(form.window.ends)
    if start is not None:
        query = query.where(f"{start} <= {asked}", dialect=DUCKDB).order_by(
            f"{start} desc", dialect=DUCKDB
        )
        for term in form.window.starts:
            query = query.where(f"not {duckdb_sql(term.instant)} is null", dialect=DUCKDB)
    if end is not None:
        query = query.where(f"{asked} < {end}", dialect=DUCKDB)
    instant = sqlglot.parse_one(f"(select {quoted(timestamp)} from {spine})", dialect=DUCKDB)
    return lay_out(duckdb_sql(bound_leaves(draft, query, instant)))
