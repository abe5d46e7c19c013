"""From stored columns to features: read-time expressions, and ttl, at the instant asked."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from feature_specs.compile.draft import Draft, OutputFeature
from feature_specs.compile.sql.clock import is_clock
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.request_values import request_of
from feature_specs.instants import microseconds
from feature_specs.quote import quoted


def feature_sql(
    draft: Draft,
    feature: OutputFeature,
    relation: str,
    asked: exp.Expr,
    spine: str | None,
    *,
    sent: bool = False,
) -> str:
    """SQL of a feature's value without its ttl.

    Args:
        relation: what holds the stored columns.
        asked: the instant asked, a timestamp with time zone.
        spine: what holds the request values; None where nobody sends any, so that they are null.
        sent: request values are parameters, each under its own name.
    """
    if feature.expression is None:
        return f"{relation}.{quoted(feature.name)}"

    def at_reading(node: exp.Expr) -> exp.Expr:
        request = request_of(node)
        if request is not None:
            value: exp.Expr = exp.Null()
            if spine is not None:
                value = exp.column(request.name, table=spine, quoted=True)
            elif sent:
                value = exp.Parameter(this=exp.var(request.name))
            return exp.cast(value, request.type, dialect=DUCKDB)
        if is_clock(node):
            return asked.copy()
        if isinstance(node, exp.Column):
            return exp.column(node.name, table=relation.strip('"'), quoted=True)
        return node

    return duckdb_sql(feature.expression.transform(at_reading))


def fresh_enough(draft: Draft, relation: str, asked: exp.Expr) -> str | None:
    """SQL that holds while a history view's row counts; None where it counts for ever."""
    view = draft.view
    if view.ttl is None or view.event_time is None:
        return None
    ttl = microseconds(view.ttl)
    since = f"epoch_us({relation}.{quoted(view.event_time)})"
    return f"epoch_us({duckdb_sql(asked)}) - {since} <= {ttl}"


def feature_columns(
    draft: Draft,
    asked: exp.Expr,
    features: Sequence[OutputFeature] | None = None,
    *,
    sent: bool = False,
) -> str:
    """A select list of keys, event_time and features over a relation ``stored``, as spelled.

    Args:
        features: which; all by default.
        sent: request values are parameters rather than null.
    """
    view = draft.view
    names = [*view.entities, *([view.event_time] if view.event_time else [])]
    columns = [f"stored.{quoted(n)} as {quoted(draft.label(n))}" for n in names]
    fresh = fresh_enough(draft, "stored", asked)
    for feature in draft.features if features is None else features:
        value = feature_sql(draft, feature, "stored", asked, None, sent=sent)
        value = f"case when {fresh} then {value} end" if fresh else value
        columns.append(f"{value} as {quoted(draft.label(feature.name))}")
    return ", ".join(columns)
