"""Several views on one spine in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from feature_specs.check_past import check_past
from feature_specs.compile.check_arguments import (
    agreed_leaves,
    lag_us,
    spine_sql,
)
from feature_specs.compile.compiled_view import CompiledView, written_for
from feature_specs.compile.engines import known_engine
from feature_specs.compile.proof.certify_bounds import certify_statement
from feature_specs.compile.variants.check_spine_columns import check_spine_columns
from feature_specs.compile.variants.join_spine import Joined, join_spine
from feature_specs.errors import (
    CompileError,
    SpecError,
    UnknownNameError,
    did_you_mean,
)
from feature_specs.names import fold_name
from feature_specs.view import FeatureReference


def compile_service(
    views: Sequence[CompiledView],
    features: Sequence[FeatureReference] | None = None,
    *,
    spine: str = "spine",
    timestamp: str = "ts",
    lag: timedelta | str | None = None,
    behind: str | None = None,
    engine: str = "duckdb",
    spine_columns: Sequence[str] | None = None,
) -> str:
    """SQL of several views on one spine in one statement; columns are named ``view__feature``.

    Args:
        features: which, and in which order; None for all of every view.
        lag: how far behind the instants the stored features stand.
        behind: the same as SQL of microseconds, where it is not known yet.
        spine_columns: the spine's columns, where they are known.

    Raises:
        UnknownNameError: a reference names no view or feature.
        SpecError: there is nothing to read, two views hold one leaf to different declarations, or
            the spine is known to lack a column.
        CompileError: two features would come out under one name.
        TimeRoleError: a view reads a table that is rewritten in place.
    """
    target = known_engine(engine)
    chosen = _chosen(views, features)
    known = {v.name: v.for_engine(target) if v.name in chosen else v for v in views}
    for name in chosen:
        check_past(name, known[name].leaves)
    leaves = agreed_leaves({name: known[name].leaves for name in chosen})
    joined = [Joined(known[v].draft, known[v].choice, columns) for v, columns in chosen.items()]
    check_spine_columns(spine, spine_columns, timestamp, joined)
    statement = join_spine(spine_sql(spine), timestamp, joined, behind=behind or lag_us(lag))
    certify_statement(statement, leaves, "service")
    return written_for(target, statement.sql, leaves, spine_columns)


def _chosen(
    views: Sequence[CompiledView], features: Sequence[FeatureReference] | None
) -> dict[str, list[tuple[str, str]]]:
    """View name to its features and their column names, which differ."""
    known = {v.name: v for v in views}
    names = [fold_name(v.name) for v in views]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise CompileError(
            f"two feature views are named {twice!r}", where="service", hint="rename one"
        )
    chosen: dict[str, list[tuple[str, str]]] = {}
    if features is None:
        for v in views:
            chosen[v.name] = [(f.name, v.column_of(f.name)) for f in v.features]
    for reference in features or ():
        feature = fold_name(reference.own_name or reference.feature)
        if reference.view not in known:
            raise UnknownNameError(
                f"no feature view is named {reference.view!r}",
                where="service",
                hint=did_you_mean(reference.view, known),
            )
        names = [f.name for f in known[reference.view].features]
        if feature not in names:
            raise UnknownNameError(
                f"feature view {reference.view!r} has no feature {reference.feature!r}",
                where="service",
                hint=did_you_mean(reference.feature, map(known[reference.view].draft.label, names)),
            )
        column = known[reference.view].column_of(feature)
        column = reference.column if reference.own_name else column
        chosen.setdefault(reference.view, []).append((feature, column))
    _check_columns(chosen)
    return chosen


def _check_columns(chosen: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    if not chosen:
        raise SpecError(
            "the service reads no feature", where="service", hint="give it a feature view"
        )
    taken: dict[str, str] = {}
    for view, columns in chosen.items():
        for feature, column in columns:
            other = taken.setdefault(fold_name(column), f"{view}.{feature}")
            if other != f"{view}.{feature}":
                raise CompileError(
                    f"{other} and {view}.{feature} both come out as column {column!r}",
                    where="service",
                    hint="rename one of the views or features",
                )
    listed = [fold_name(column) for columns in chosen.values() for _, column in columns]
    twice = next((c for c in listed if listed.count(c) > 1), None)
    if twice is not None:
        raise CompileError(
            f"feature {taken[twice]} is listed twice", where="service", hint="list it once"
        )
