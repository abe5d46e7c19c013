"""The compiler: an ordered tuple of passes, and the variants read from what they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from sqlglot.errors import SqlglotError

from feature_specs.catalog import Column
from feature_specs.compile.check_arguments import (
    agreed_leaves,
    check_dialect,
    check_spine,
    column_name,
    instant_literal,
    lag_us,
    leaves_by_name,
    lower_names,
)
from feature_specs.compile.check_session import guarded
from feature_specs.compile.describe_view import Described, describe_view
from feature_specs.compile.draft import Draft, OutputFeature
from feature_specs.compile.engines import ENGINES, Engine, write_for_engine
from feature_specs.compile.explain_view import explain_view
from feature_specs.compile.form_intervals import form_intervals
from feature_specs.compile.hash_meaning import hash_meaning
from feature_specs.compile.inline_models import inline_models
from feature_specs.compile.join_spine import Joined, join_spine
from feature_specs.compile.lay_out import lay_out
from feature_specs.compile.lowerings.choose_lowering import Choice, choose_lowering
from feature_specs.compile.maintain_state import (
    Incremental,
    StoredQueries,
    maintain_state,
    stored_queries,
)
from feature_specs.compile.name_sources_apart import name_sources_apart
from feature_specs.compile.note_visibility import note_visibility
from feature_specs.compile.order_totally import order_totally
from feature_specs.compile.parse_query import parse_query
from feature_specs.compile.proof.certify_bounds import Certificate, certify_statement
from feature_specs.compile.qualify_columns import qualify_columns
from feature_specs.compile.read_as_of import read_as_of
from feature_specs.compile.read_deltas import read_deltas
from feature_specs.compile.read_features import feature_columns
from feature_specs.compile.read_online import Online, read_online
from feature_specs.compile.refuse_reserved_names import refuse_reserved_names
from feature_specs.compile.refuse_unsafe import refuse_unsafe
from feature_specs.compile.resolve_clock import resolve_clock
from feature_specs.compile.show_hidden_tables import show_hidden_tables
from feature_specs.compile.spell_columns import spell_columns
from feature_specs.compile.split_read_time import split_read_time
from feature_specs.compile.statement import Statement
from feature_specs.compile.time_axis import instant_parameter
from feature_specs.compile.trace_rows import trace_rows
from feature_specs.compile.type_divisions import type_divisions
from feature_specs.deltas import Deltas
from feature_specs.errors import (
    CompileError,
    SpecError,
    UnknownNameError,
    UnsafeQueryError,
    did_you_mean,
    first_line,
)
from feature_specs.leaf import Leaf, leaf_key
from feature_specs.names import fold_name
from feature_specs.require_past import require_past
from feature_specs.view import FeatureReference, FeatureView

#: From the author's text to the form that all variants are read from.
PASSES: tuple[Callable[[Draft], Draft], ...] = (
    parse_query,
    inline_models,
    refuse_reserved_names,  # of the whole text: what follows makes names of its own
    refuse_unsafe,
    show_hidden_tables,
    spell_columns,  # before qualify_columns, which folds all names
    qualify_columns,
    type_divisions,
    name_sources_apart,
    resolve_clock,
    order_totally,
    split_read_time,
    note_visibility,
    form_intervals,
)


@dataclass(frozen=True)
class CompiledView:
    """One view, compiled: SQL of every variant, and the proof that it cannot see the future."""

    draft: Draft
    choice: Choice

    @property
    def name(self) -> str:
        return self.draft.view.name

    @property
    def features(self) -> tuple[OutputFeature, ...]:
        """What can be asked for, in the author's order."""
        return self.draft.features

    def column_of(self, feature: str) -> str:
        """A feature's column beside those of other views: ``view__feature``, as it is spelled."""
        return FeatureReference(self.name, self.draft.label(feature)).column

    @property
    def requests(self) -> tuple[Column, ...]:
        """Values that the caller sends."""
        return self.draft.requests

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        return tuple(self.draft.leaves.values())

    @property
    def has_past(self) -> bool:
        """Whether features of an earlier instant can be had: no leaf is rewritten in place."""
        return all(leaf.written != "mutable" for leaf in self.leaves)

    def point_in_time(
        self,
        spine: str = "spine",
        timestamp: str = "ts",
        engine: str = "duckdb",
        lowering: str | None = None,
        lag: timedelta | str | None = None,
    ) -> str:
        """SQL with every row and column of the spine, then the features, F(D, t - lag).

        Args:
            spine: a relation as SQL names it, or a query in parentheses.
            timestamp: the spine's column of instants.
            lag: a timedelta, or a text such as ``15 minutes``.

        Raises:
            SpecError: the spine or the lag is none.
            CompileError: the engine is unknown, or ``lowering`` is not valid for this view.
            TimeRoleError: the view reads a table that is rewritten in place.
        """
        require_past(self.name, self.leaves)
        known = _check_engine(engine)
        if (spine, timestamp, lowering, lag) == ("spine", "ts", None, None):
            return self._written(self._statement.sql, known)
        choice = choose_lowering(self.draft, lowering) if lowering else self.choice
        return self._written(self._joined(spine, timestamp, choice, lag).sql, known)

    def at_present(self, spine: str = "spine", timestamp: str = "ts") -> str:
        """SQL of the features at an instant that is the present: a table's past does not matter."""
        return lay_out(self._joined(spine, timestamp, self.choice).sql)

    def _written(self, sql: str, engine: Engine) -> str:
        if engine == "duckdb":
            return lay_out(sql)
        return write_for_engine(sql, engine, schema=_schema(self.leaves))

    def _joined(
        self, spine: str, timestamp: str, choice: Choice, lag: timedelta | str | None = None
    ) -> Statement:
        columns = [(f.name, self.draft.label(f.name)) for f in self.features]
        return join_spine(
            check_spine(spine),
            column_name(timestamp),
            [Joined(self.draft, choice, columns)],
            behind=lag_us(lag),
        )

    def as_of(self, at: datetime | None = None, engine: str = "duckdb") -> str:
        """SQL of the author's columns at one instant, a row per entity; ``$as_of`` if at is None.

        ttl is applied at reading: an entity whose row is older keeps its keys, with null features.
        """
        known = _check_engine(engine)
        instant = instant_parameter("as_of") if at is None else instant_literal(at)
        columns = feature_columns(self.draft, instant)
        stored = self.stored_now if at is None else read_as_of(self.draft, instant)
        sql = f"select {columns} from ({stored}) as stored"
        static = at is None and "$as_of" not in sql
        if known == "duckdb":
            sql = guarded(sql)
        if static:
            # Static through and through; whoever runs it passes the parameter all the same.
            sql += f" {'and' if known == 'duckdb' else 'where'} not cast($as_of as timestamptz) is null"
        return self._written(sql, known)

    def features_over(self, relation: str, features: Sequence[OutputFeature] | None = None) -> str:
        """SQL of keys, event_time and features over a relation of stored columns.

        Args:
            relation: what stands after FROM; the instant is the parameter ``$as_of``.
            features: which; all by default.
        """
        columns = feature_columns(self.draft, instant_parameter("as_of"), features)
        return lay_out(f"select {columns} from {relation} as stored")

    @cached_property
    def stored_now(self) -> str:
        """SQL of the stored columns at ``$as_of``: what tables hold."""
        return read_as_of(self.draft, instant_parameter("as_of"))

    def incremental(self, engine: str = "duckdb") -> Incremental:
        """Statements that keep F(D, T) in tables: create them, bring them on, read them."""
        if _check_engine(engine) != "duckdb":
            raise CompileError(
                f"the incremental statements are not written for {engine} yet",
                where="engine",
                mend="take engine='duckdb', or as_of() on that engine",
            )
        return maintain_state(self.draft)

    def online(self) -> Online:
        """What an online store holds, and how features are read from it."""
        return read_online(self.draft, self.stored_now)

    def stored_queries(self) -> StoredQueries:
        """The queries behind a feature table whose rows and state are kept elsewhere."""
        return stored_queries(self.draft, self.stored_now)

    def deltas(self) -> Deltas | None:
        """How such a table is brought forward by deltas; None where it must recompute."""
        return read_deltas(self.draft)

    def trace(self, spine: str, timestamp: str) -> str | None:
        """SQL of the source rows behind a spine of one row; None where none stands for itself."""
        return trace_rows(self.draft, check_spine(spine), column_name(timestamp))

    def prove(self) -> Certificate:
        """The bound of every leaf scan in the point-in-time variant.

        Raises:
            UnsafeQueryError: a scan has none; the view must not be used.
        """
        return self.certificate

    def describe(self) -> Described:
        """DuckDB's types of the view's columns.

        Raises:
            CompileError: DuckDB refuses the query, or a key is a float.
        """
        return self.types

    @cached_property
    def types(self) -> Described:
        """DuckDB's types of stored columns and of features."""
        at_reading = [f for f in self.features if f.expression is not None]
        read = self.features_over("forebay_nulls", at_reading) if at_reading else None
        return describe_view(self.draft, self.stored_now, read)

    @cached_property
    def certificate(self) -> Certificate:
        """The bound of every leaf scan in the point-in-time variant."""
        return certify_statement(self._statement, self.leaves, self.draft.file)

    @cached_property
    def _statement(self) -> Statement:
        """The point-in-time variant that is certified."""
        return self._joined("spine", "ts", self.choice)

    @cached_property
    def semantic_hash(self) -> str:
        return hash_meaning(self.draft)

    def explain(self, lowering: str | None = None) -> str:
        """Leaf roles, the shape found, the lowering and why, the certificate and the SQL, as text.

        Raises:
            CompileError: ``lowering`` is not valid for this view.
        """
        choice = choose_lowering(self.draft, lowering) if lowering else self.choice
        if self.has_past:
            shown = f"point in time, {choice.lowering}", self.point_in_time(lowering=lowering)
        else:
            shown = "as things stand", self.as_of()
        return explain_view(self.draft, choice, self.certificate, self.incremental(), *shown)


def compile_view(
    view: FeatureView, leaves: Sequence[Leaf], dialect: str = "duckdb"
) -> CompiledView:
    """Compile one view, with its leak proof.

    Args:
        leaves: the tables that its SQL, or the SQL of the models it reads, names.
        dialect: what the author wrote in.

    Raises:
        ForebayError: a subclass that says what is wrong, where, and how to mend it.
    """
    check_dialect(dialect)
    known = leaves_by_name(leaves, dialect, view.file or f"view {view.name}")
    written = [c for leaf in leaves for c in leaf.columns]
    written += [*view.entities, *([view.event_time] if view.event_time else [])]
    spelled = {leaf_key(leaf.name): {fold_name(c): c for c in leaf.columns} for leaf in leaves}
    labels = {fold_name(w): w for w in written}
    draft = Draft(lower_names(view), dialect, known, spelled=spelled, labels=labels)
    try:
        return _compile(draft)
    except SqlglotError as error:
        raise CompileError(
            f"a part of the query cannot be written back as SQL: {first_line(error)}",
            where=draft.file,
            mend="write that part in another way",
        ) from error


def _compile(draft: Draft) -> CompiledView:
    for step in PASSES:
        draft = step(draft)
    try:
        return _certified(draft)
    except UnsafeQueryError as gap:
        if draft.form is None:
            raise
        # The query cut leaf by leaf needs no interval form, and has a proof of its own.
        why = f"its interval form lacks a proof: {gap.what}"
        return _certified(replace(draft, form=None, why_no_form=why))


def _certified(draft: Draft) -> CompiledView:
    """The view, once its point-in-time variant is proved and DuckDB takes its query."""
    compiled = CompiledView(draft, choose_lowering(draft))
    compiled.prove()
    compiled.describe()
    return compiled


def compile_service(
    views: Sequence[CompiledView],
    features: Sequence[FeatureReference] | None = None,
    *,
    spine: str = "spine",
    timestamp: str = "ts",
    lag: timedelta | str | None = None,
    behind: str | None = None,
    engine: str = "duckdb",
) -> str:
    """SQL of several views on one spine in one statement; columns are named ``view__feature``.

    Args:
        features: which, and in which order; None for all of every view.
        lag: how far behind the instants the stored features stand.
        behind: the same as SQL of microseconds, where it is not known yet.

    Raises:
        UnknownNameError: a reference names no view or feature.
        SpecError: there is nothing to read, or two views hold one leaf to different declarations.
        CompileError: two features would come out under one name.
        TimeRoleError: a view reads a table that is rewritten in place.
    """
    target = _check_engine(engine)
    known = {v.name: v for v in views}
    chosen = _chosen(views, features)
    for name in chosen:
        require_past(name, known[name].leaves)
    leaves = agreed_leaves({name: known[name].leaves for name in chosen})
    joined = [Joined(known[v].draft, known[v].choice, columns) for v, columns in chosen.items()]
    statement = join_spine(
        check_spine(spine), column_name(timestamp), joined, behind=behind or lag_us(lag)
    )
    certify_statement(statement, leaves, "service")
    if target == "duckdb":
        return lay_out(statement.sql)
    return write_for_engine(statement.sql, target, schema=_schema(leaves))


def _chosen(
    views: Sequence[CompiledView], features: Sequence[FeatureReference] | None
) -> dict[str, list[tuple[str, str]]]:
    """View name to its features and their column names, which differ."""
    known = {v.name: v for v in views}
    names = [fold_name(v.name) for v in views]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise CompileError(
            f"two feature views are named {twice!r}", where="service", mend="rename one"
        )
    chosen: dict[str, list[tuple[str, str]]] = {}
    if features is None:
        for v in views:
            chosen[v.name] = [(f.name, v.column_of(f.name)) for f in v.features]
    for reference in features or ():
        feature = fold_name(reference.feature)
        if reference.view not in known:
            raise UnknownNameError(
                f"no feature view is named {reference.view!r}",
                where="service",
                mend=did_you_mean(reference.view, known),
            )
        names = [f.name for f in known[reference.view].features]
        if feature not in names:
            raise UnknownNameError(
                f"feature view {reference.view!r} has no feature {reference.feature!r}",
                where="service",
                mend=did_you_mean(reference.feature, map(known[reference.view].draft.label, names)),
            )
        column = known[reference.view].column_of(feature)
        chosen.setdefault(reference.view, []).append((feature, column))
    _check_columns(chosen)
    return chosen


def _check_columns(chosen: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    if not chosen:
        raise SpecError(
            "the service reads no feature", where="service", mend="give it a feature view"
        )
    taken: dict[str, str] = {}
    for view, columns in chosen.items():
        for feature, column in columns:
            other = taken.setdefault(fold_name(column), f"{view}.{feature}")
            if other != f"{view}.{feature}":
                raise CompileError(
                    f"{other} and {view}.{feature} both come out as column {column!r}",
                    where="service",
                    mend="rename one of the views or features",
                )
    listed = [fold_name(column) for columns in chosen.values() for _, column in columns]
    twice = next((c for c in listed if listed.count(c) > 1), None)
    if twice is not None:
        raise CompileError(
            f"feature {taken[twice]} is listed twice", where="service", mend="list it once"
        )


def _check_engine(engine: str) -> Engine:
    for known in ENGINES:
        if known == engine:
            return known
    raise CompileError(
        f"engine {engine!r} is not supported",
        where="engine",
        mend=did_you_mean(engine, ENGINES),
    )


def _schema(leaves: Sequence[Leaf]) -> dict[str, Mapping[str, str]]:
    return {leaf.name: leaf.columns for leaf in leaves}
