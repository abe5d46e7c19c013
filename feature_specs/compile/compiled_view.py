"""One view, compiled: the SQL of every variant, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from feature_specs.catalog import Column
from feature_specs.check_past import check_past
from feature_specs.compile.check_arguments import (
    instant_literal,
    lag_us,
    spine_sql,
)
from feature_specs.compile.describe.describe_view import Described, describe_view
from feature_specs.compile.draft import Draft, OutputFeature
from feature_specs.compile.engines import (
    Engine,
    known_engine,
    write_for_engine,
    write_steps_for_engine,
)
from feature_specs.compile.explain_view import explain_view
from feature_specs.compile.hash_meaning import hash_meaning
from feature_specs.compile.lowerings.choose_lowering import (
    LAST_RESORTS,
    LoweringChoice,
    choose_lowering,
)
from feature_specs.compile.proof.certify_bounds import Certificate, certify_statement
from feature_specs.compile.sql.check_session import guarded
from feature_specs.compile.sql.lay_out import lay_out
from feature_specs.compile.sql.statement import Statement
from feature_specs.compile.sql.time_axis import instant_parameter
from feature_specs.compile.variants.check_spine_columns import check_spine_columns
from feature_specs.compile.variants.join_spine import Joined, join_spine
from feature_specs.compile.variants.maintain_state import (
    Incremental,
    StoredQueries,
    maintain_state,
    stored_queries,
)
from feature_specs.compile.variants.read_as_of import read_as_of
from feature_specs.compile.variants.read_deltas import read_deltas
from feature_specs.compile.variants.read_features import feature_columns
from feature_specs.compile.variants.read_online import Online, read_online
from feature_specs.compile.variants.trace_rows import trace_rows
from feature_specs.deltas import Deltas
from feature_specs.errors import CompileError, SpecError
from feature_specs.leaf import Leaf
from feature_specs.names import fold_name
from feature_specs.view import FeatureReference, FeatureView


@dataclass(frozen=True)
class CompiledView:
    """One view, compiled: SQL of every variant, and the proof that it cannot see the future."""

    draft: Draft
    choice: LoweringChoice

    @property
    def name(self) -> str:
        return self.draft.view.name

    @property
    def view(self) -> FeatureView:
        """The view as it was given, its names in lower case."""
        return self.draft.view

    @property
    def stored_names(self) -> tuple[str, ...]:
        """Columns of the feature table besides the entities and event_time."""
        return self.draft.stored_names

    @property
    def lowering(self) -> str:
        """How the point-in-time variant reads the interval form."""
        return self.choice.lowering

    @property
    def why_no_form(self) -> str:
        """Why there is no interval form; empty where there is one."""
        return "" if self.draft.form is not None else self.draft.why_no_form

    def label(self, name: str) -> str:
        """A column's name as the author wrote it."""
        return self.draft.label(name)

    @property
    def features(self) -> tuple[OutputFeature, ...]:
        """What can be asked for, in the author's order."""
        return self.draft.features

    def in_role(self, name: str, keys: Mapping[str, str]) -> CompiledView:
        """The view as a service reads it by other columns of the spine, under another name.

        Args:
            keys: of each entity that is called otherwise, its name in the spine.

        Raises:
            SpecError: the view has no such entity, or two of them would have one name.
        """
        named = {fold_name(own): fold_name(there) for own, there in keys.items()}
        entities = [named.get(e, e) for e in self.view.entities]
        unknown = next((own for own in named if own not in self.view.entities), None)
        if unknown is not None or len(set(entities)) < len(entities):
            what = f"no entity {unknown!r}" if unknown else "two entities of one name"
            raise SpecError(
                f"feature view {self.name!r} has {what} in role {name!r}",
                where=self.draft.file,
                hint=f"its entities are {', '.join(map(self.draft.label, self.view.entities))}",
            )
        labels = {**self.draft.labels, **{fold_name(v): v for v in keys.values()}}
        draft = replace(
            self.draft, view=replace(self.view, name=name), named_in_role=named, labels=labels
        )
        return replace(self, draft=draft)

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
        spine_columns: Sequence[str] | None = None,
    ) -> str:
        """SQL with every row and column of the spine, then the features, F(D, t - lag).

        Args:
            spine: a relation as SQL names it, or a query in parentheses.
            timestamp: the spine's column of instants.
            lag: a timedelta, or a text such as ``15 minutes``.
            spine_columns: the spine's columns, where they are known.

        Raises:
            SpecError: the spine or the lag is none, or the spine is known to lack a column.
            CompileError: the engine is unknown, or ``lowering`` is not valid for this view.
            TimeRoleError: the view reads a table that is rewritten in place.
        """
        check_past(self.name, self.leaves)
        known = known_engine(engine)
        choice = (
            choose_lowering(self.draft, lowering) if lowering else self.for_engine(known).choice
        )
        check_spine_columns(spine, spine_columns, timestamp, [self._part(choice)])
        if (spine, timestamp, choice, lag) == ("spine", "ts", self.choice, None):
            return written_for(known, self._statement.sql, self.leaves, spine_columns)
        sql = self._joined(spine, timestamp, choice, lag).sql
        return written_for(known, sql, self.leaves, spine_columns)

    def for_engine(self, engine: str) -> CompiledView:
        """The same view, by the first lowering that an engine can run: mostly the chosen one.

        Raises:
            CompileError: it can run none; says what it lacks for the chosen one.
        """
        known = known_engine(engine)
        if known == "duckdb":
            return self
        if known not in self._on:
            self._on[known] = replace(self, choice=self._choice_on(known))
        return self._on[known]

    @cached_property
    def _on(self) -> dict[Engine, CompiledView]:
        return {}

    def _choice_on(self, engine: Engine) -> LoweringChoice:
        first: CompileError | None = None
        for forced in (None, *LAST_RESORTS):
            try:
                choice = choose_lowering(self.draft, forced, engine)
                sql = self._joined("spine", "ts", choice).sql
                write_steps_for_engine(sql, engine, "fb_step_", schema=schema_of(self.leaves))
            except CompileError as error:
                first = first or error
                continue
            if first is None:
                return choice
            return replace(choice, found=((None, f"{choice.lowering}, because {first.what}"),))
        assert first is not None
        raise first

    def at_present(self, spine: str = "spine", timestamp: str = "ts") -> str:
        """SQL of the features at an instant that is the present: a table's past does not matter."""
        return lay_out(self._joined(spine, timestamp, self.choice).sql)

    def _joined(
        self, spine: str, timestamp: str, choice: LoweringChoice, lag: timedelta | str | None = None
    ) -> Statement:
        return join_spine(
            spine_sql(spine),
            timestamp,
            [self._part(choice)],
            behind=lag_us(lag),
        )

    def _part(self, choice: LoweringChoice) -> Joined:
        columns = [(f.name, self.draft.label(f.name)) for f in self.features]
        return Joined(self.draft, choice, columns)

    def as_of(self, at: datetime | None = None, engine: str = "duckdb") -> str:
        """SQL of the author's columns at one instant, a row per entity; ``$as_of`` if at is None.

        ttl is applied at reading: an entity whose row is older keeps its keys, with null features.
        """
        known = known_engine(engine)
        instant = instant_parameter("as_of") if at is None else instant_literal(at)
        columns = feature_columns(self.draft, instant)
        stored = self.stored_now if at is None else read_as_of(self.draft, instant)
        sql = guarded(f"select {columns} from ({stored}) as stored")
        if at is None and "$as_of" not in sql:
            # Static through and through; whoever runs it passes the parameter all the same.
            sql += " and not cast($as_of as timestamptz) is null"
        return written_for(known, sql, self.leaves)

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
        if known_engine(engine) != "duckdb":
            raise CompileError(
                f"the incremental statements are not written for {engine} yet",
                where="engine",
                hint="take engine='duckdb', or as_of() on that engine",
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
        """SQL of the source rows behind a spine of one row; None where rows cannot be traced."""
        return trace_rows(self.draft, spine_sql(spine), timestamp)

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
        whole = self.choice.lowering == "decorrelated"
        return describe_view(self.draft, self.stored_now, self._beside if whole else None)

    def _beside(self, spine: str) -> str:
        return self._joined(spine, "fb_at", self.choice).sql

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

    def explain(
        self, lowering: str | None = None, *, sql: bool = True, engine: str = "duckdb"
    ) -> str:
        """Leaf roles, the shape found, the lowering and why, the certificate and the SQL, as text.

        Args:
            sql: False leaves the SQL out.

        Raises:
            CompileError: ``lowering`` is not valid for this view, or the engine cannot run it.
        """
        choice = self.for_engine(engine).choice
        if lowering:
            choice = choose_lowering(self.draft, lowering)
        text = explain_view(self.draft, choice, self.certificate, self.incremental())
        if not sql:
            return text
        if not self.has_past:
            return f"{text}\n\n-- as things stand\n{self.as_of(engine=engine)}"
        try:
            statement = self.point_in_time(lowering=lowering, engine=engine)
        except CompileError as error:
            if engine == "duckdb" or lowering:
                raise
            statement = f"-- {error.what}; {error.hint}"  # its steps are a run's own
        where = "" if engine == "duckdb" else f" on {engine}"
        return f"{text}\n\n-- point in time{where}, {choice.lowering}\n{statement}"


def written_for(
    engine: Engine, sql: str, leaves: Sequence[Leaf], spine_columns: Sequence[str] | None = None
) -> str:
    """A statement of DuckDB's, laid out, or as another engine runs it."""
    if engine == "duckdb":
        return lay_out(sql)
    return write_for_engine(sql, engine, spine_columns=spine_columns, schema=schema_of(leaves))


def schema_of(leaves: Sequence[Leaf]) -> dict[str, Mapping[str, str]]:
    """The columns of tables, and their DuckDB types."""
    return {leaf.name: leaf.columns for leaf in leaves}
