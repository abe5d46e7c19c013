"""Point-in-time: join the features of one or more views to a spine, row for row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.draft import Draft, OutputFeature, Subquery
from feature_specs.compile.duckdb_sql import DUCKDB
from feature_specs.compile.exact_types import declared_type
from feature_specs.compile.interval_rows import interval_rows
from feature_specs.compile.lowerings.choose_lowering import Choice
from feature_specs.compile.lowerings.lower_aggregates import lower_aggregates
from feature_specs.compile.lowerings.lower_decorrelated import lower_decorrelated
from feature_specs.compile.lowerings.lower_latest import lower_latest
from feature_specs.compile.lowerings.lower_stab import stab_rows
from feature_specs.compile.lowerings.lower_steps import lower_steps
from feature_specs.compile.lowerings.lowered import ASKED, AXIS, ROW, Scope, quoted
from feature_specs.compile.read_features import feature_sql, fresh_enough
from feature_specs.compile.statement import Statement


@dataclass(frozen=True)
class Joined:
    """A view that takes part, how it is lowered, and which features under which column names."""

    draft: Draft
    choice: Choice
    columns: Sequence[tuple[str, str]]


def join_spine(
    spine: str, timestamp: str, views: Sequence[Joined], *, behind: str = "0"
) -> Statement:
    """The statement that keeps every spine row and column and adds the features, F(D, t - lag) each.

    Args:
        spine: a relation or a parenthesised query.
        timestamp: the spine's column of instants.
        behind: SQL of how many microseconds the stored features lag; read-time parts do not.
    """
    parts = [
        Subquery(
            "fb_spine",
            f"select row_number() over () as {ROW}, "
            f"cast(source.{quoted(timestamp)} as timestamptz) as {ASKED}, "
            f"epoch_us(cast(source.{quoted(timestamp)} as timestamptz)) - {behind} as {AXIS}, "
            f"source.* from {spine} as source",
        )
    ]
    outputs, joins = [], []
    for joined in views:
        parts += _view_queries(joined)
        view = joined.draft.view.name
        features = quoted(f"{view}__features")
        joins.append(f"left join {features} on {features}.{ROW} = fb_spine.{ROW}")
        known = {f.name: f for f in joined.draft.features}
        outputs += [
            f"{_output(joined.draft, known[feature])} as {quoted(column)}"
            for feature, column in joined.columns
        ]
    kept = f"fb_spine.* exclude ({ROW}, {ASKED}, {AXIS})"
    select = f"select {', '.join([kept, *outputs])} from fb_spine {' '.join(joins)}"
    prefixes = tuple(f'"{joined.draft.view.name}__' for joined in views)
    return Statement(tuple(parts), select, prefixes)


def _view_queries(joined: Joined) -> list[Subquery]:
    draft = joined.draft
    keys = ", ".join(quoted(e) for e in draft.view.entities)
    no_null = " and ".join(f"not {quoted(e)} is null" for e in (*draft.view.entities, AXIS))
    spine = Subquery(
        quoted(f"{draft.view.name}__spine"),
        f"select {ROW}, {AXIS}, {keys} from fb_spine where {no_null}",
        # Read but twice there, which costs less than to keep another copy of the spine.
        shared=joined.choice.lowering != "latest",
    )
    if joined.choice.lowering == "decorrelated" or draft.form is None:
        return [spine, *lower_decorrelated(draft)]
    rows = interval_rows(draft, draft.form)
    view = draft.view
    scope = Scope(
        view.name, tuple(view.entities), draft.form, rows, view.event_time, _has_whole_key(draft)
    )
    # A plain scan is cheaper read twice than copied; what joins is computed once.
    plain = draft.form.simple and not draft.form.source.args.get("joins")
    first = [spine, Subquery(scope.name("rows"), rows.sql, shared=not plain)]
    if joined.choice.lowering == "latest":
        return [*first, *lower_latest(scope)]
    if joined.choice.lowering == "steps":
        return [*first, lower_steps(scope)]
    if not draft.form.grouped:
        return [*first, stab_rows(scope)]
    return [*first, *lower_aggregates(scope, joined.choice.parts)]


def _has_whole_key(draft: Draft) -> bool:
    """The view has one entity, whose columns are whole numbers in every leaf that has one so named."""
    if draft.form is None or len(draft.form.keys) != 1:
        return False
    (key,) = draft.form.keys
    written = {x.columns[key.name] for x in draft.leaves.values() if key.name in x.columns}
    kinds = [declared_type(exp.DataType.build(k, dialect=DUCKDB, udt=True)) for k in written]
    whole = [kind is not None and not kind.decimal for kind in kinds]
    return isinstance(key, exp.Column) and bool(whole) and all(whole)


def _output(draft: Draft, feature: OutputFeature) -> str:
    view = quoted(f"{draft.view.name}__features")
    asked = exp.column(ASKED, table="fb_spine")
    value = feature_sql(draft, feature, view, asked, "fb_spine")
    tests = [] if feature.expression is None else [f"not {view}.{ROW} is null"]
    fresh = fresh_enough(draft, view, asked)
    tests += [fresh] if fresh else []
    return f"case when {' and '.join(tests)} then {value} end" if tests else value
