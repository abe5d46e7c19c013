"""Point-in-time: join the features of one or more views to a spine, row for row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.draft import Draft, IntervalForm, Subquery
from feature_specs.compile.lowerings.choose_lowering import LoweringChoice
from feature_specs.compile.lowerings.interval_rows import interval_rows
from feature_specs.compile.lowerings.lower_aggregates import lower_aggregates
from feature_specs.compile.lowerings.lower_decorrelated import lower_decorrelated
from feature_specs.compile.lowerings.lower_latest import lower_in_order, lower_late
from feature_specs.compile.lowerings.lower_stab import stab_rows
from feature_specs.compile.lowerings.lower_steps import lower_steps
from feature_specs.compile.lowerings.lowered import AXIS, REQUESTED, ROW, ViewScope
from feature_specs.compile.lowerings.rank_rows_of_history import starts_in_order
from feature_specs.compile.sql.check_session import at_utc
from feature_specs.compile.sql.exact_types import declared_type
from feature_specs.compile.sql.statement import Statement
from feature_specs.compile.variants.read_features import feature_sql, fresh_enough
from feature_specs.compile.variants.spine_checks import (
    instant_sql,
    instant_test,
    key_tests,
    name_test,
)
from feature_specs.quote import quoted

#: Histories in one pass: of many more DuckDB takes long to plan the statement.
_MOST_TOGETHER = 24


@dataclass(frozen=True)
class Joined:
    """A view that takes part, how it is lowered, and which features under which column names."""

    draft: Draft
    choice: LoweringChoice
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
    parts, joins = [], []
    for group in _by_lowering(views):
        subqueries, join = _lowered(group)
        parts += subqueries
        joins.append(join)
    outputs = [
        f"{_output(joined, feature)} as {quoted(column)}"
        for joined in views
        for feature, column in joined.columns
    ]
    asked = instant_sql(f"source.{quoted(timestamp)}")
    columns = {ROW: "row_number() over ()", AXIS: f"epoch_us({asked}) - {behind}"}
    if any(f"fb_spine.{REQUESTED}" in output for output in outputs):
        columns[REQUESTED] = asked
    listed = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    tests = f"{at_utc()} and {instant_test(timestamp, asked)}"
    source = Subquery("fb_spine", f"select {listed}, source.* from {spine} as source where {tests}")
    kept = f"fb_spine.* exclude ({', '.join(columns)})"
    select = f"select {', '.join([kept, *outputs])} from fb_spine {' '.join(joins)}"
    prefixes = tuple(f'"{joined.draft.view.name}__' for joined in views)
    return Statement((source, *parts), select, prefixes)


def _by_lowering(views: Sequence[Joined]) -> list[list[Joined]]:
    """Views that are lowered together: histories in order whose entities are the same."""
    groups: list[list[Joined]] = []
    open_groups: dict[object, list[Joined]] = {}
    for joined in views:
        draft = joined.draft
        keys = tuple(map(draft.spine_key, draft.view.entities))
        together = (draft.view.entities, keys, _has_whole_key(draft), joined.choice.lowering)
        group = open_groups.get(together) if _in_order(joined) else None
        if group is None or len(group) == _MOST_TOGETHER:
            group = []
            groups.append(group)
        group.append(joined)
        if _in_order(joined):
            open_groups[together] = group
    return groups


def _in_order(joined: Joined) -> bool:
    form = joined.draft.form
    latest = joined.choice.lowering in ("latest", "tiles")
    return latest and form is not None and not form.grouped and starts_in_order(form)


def _lowered(group: Sequence[Joined]) -> tuple[list[Subquery], str]:
    """Subqueries of views that are lowered together, and SQL that joins their features."""
    draft = group[0].draft
    given = [(e, draft.spine_key(e)) for e in draft.view.entities]
    tests = [f"not {quoted(name)} is null" for name in (*(own for _, own in given), AXIS)]
    checks = dict.fromkeys(test for joined in group for test in key_tests(joined.draft))
    columns = [column for joined in group for _, column in joined.columns]
    checks[name_test(columns)] = None
    where = " and ".join([*tests, *checks])
    keys = ", ".join(
        quoted(own) if own == e else f"{quoted(own)} as {quoted(e)}" for e, own in given
    )
    spine = Subquery(
        quoted(f"{draft.view.name}__spine"),
        f"select {ROW}, {AXIS}, {keys} from fb_spine where {where}",
        # Read but twice there, which costs less than to keep another copy of the spine.
        shared=group[0].choice.lowering != "latest",
    )
    if _in_order(group[0]):
        histories = [_scope(j.draft, j.draft.form) for j in group if j.draft.form is not None]
        tiled = group[0].choice.lowering == "tiles"
        subqueries, join = lower_in_order(histories, tiled=tiled)
        return [spine, *map(_rows, histories), *subqueries], join
    features = quoted(f"{draft.view.name}__features")
    join = f"left join {features} on {features}.{ROW} = fb_spine.{ROW}"
    return [spine, *_view_queries(group[0])], join


def _view_queries(joined: Joined) -> list[Subquery]:
    """CTEs, of which the last, ``features``, has a row for each spine row that has features."""
    draft, lowering = joined.draft, joined.choice.lowering
    if lowering == "decorrelated" or draft.form is None:
        return lower_decorrelated(draft)
    scope = _scope(draft, draft.form)
    if lowering == "latest":
        return [_rows(scope), *lower_late(scope)]
    if lowering == "steps":
        return [_rows(scope), lower_steps(scope)]
    if not draft.form.grouped:
        return [_rows(scope), stab_rows(scope)]
    return [_rows(scope), *lower_aggregates(scope, joined.choice.parts)]


def _scope(draft: Draft, form: IntervalForm) -> ViewScope:
    view, rows = draft.view, interval_rows(draft, form)
    entities = tuple(view.entities)
    spine_key = draft.spine_key(entities[0])
    return ViewScope(
        view.name, entities, form, rows, view.event_time, _has_whole_key(draft), spine_key
    )


def _rows(scope: ViewScope) -> Subquery:
    # A plain scan is cheaper read twice than copied; what joins is computed once.
    plain = scope.form.simple and not scope.form.source.args.get("joins")
    return Subquery(scope.name("rows"), scope.rows.sql, shared=not plain)


def _has_whole_key(draft: Draft) -> bool:
    """The view has one entity, which is surely a whole number of at most 64 bits."""
    kinds = [declared_type(kind) for kind in draft.key_types]
    return len(kinds) == 1 and kinds[0] is not None and not kinds[0].decimal


def _output(joined: Joined, name: str) -> str:
    draft = joined.draft
    feature = next(f for f in draft.features if f.name == name)
    view = quoted(f"{draft.view.name}__features")
    asked = exp.column(REQUESTED, table="fb_spine")
    value = feature_sql(draft, feature, view, asked, "fb_spine")
    found = "fb_start0" if _in_order(joined) else ROW
    tests = [] if feature.expression is None else [f"not {view}.{found} is null"]
    fresh = fresh_enough(draft, view, asked)
    tests += [fresh] if fresh else []
    return f"case when {' and '.join(tests)} then {value} end" if tests else value
