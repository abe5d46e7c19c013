"""The incremental variant: statements that bring a feature table from (D0, T0) to (D1, T1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.leaf_tables import leaf_table
from feature_specs.compile.sql.check_session import at_utc, guarded, known_instant
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.time_axis import instant_parameter
from feature_specs.compile.variants.read_as_of import read_as_of, touched_keys
from feature_specs.compile.variants.read_features import feature_columns
from feature_specs.compile.variants.trace_keys import Changes
from feature_specs.deltas import added_relation
from feature_specs.errors import CompileError
from feature_specs.names import fold_name
from feature_specs.quote import quoted


@dataclass(frozen=True)
class StoredQueries:
    """Queries from which a feature table is maintained, by whoever keeps its rows and its state.

    Attributes:
        create: the rows of F(D1, T1) in full; parameter ``$as_of``.
        touched: keys that may have changed; parameters ``$before`` and ``$as_of``; None where
            every key may have.
        step: F(D1, T1) of the keys in ``forebay_touched``; parameter ``$as_of``.
        added: leaf name to the relation that ``touched`` reads for the rows added since D0.
        why: where every key may have changed, the reason, and what to write instead.
    """

    create: str
    touched: str | None
    step: str
    added: Mapping[str, str]
    why: str = ""


@dataclass(frozen=True)
class Incremental:
    """Statements that keep F(D, T) in tables of the database they run in.

    Run ``create`` once and ``step`` whenever data or time have moved on, each statement in order,
    with the parameter ``$as_of`` (a timestamp with time zone) where a statement names it. After
    either, ``read`` gives the author's columns, a row per entity, equal to F(D1, T1). A step that
    fails rolls back and leaves the state as it was. Time may stand still or go back; rows may have
    been added, removed or changed in any leaf, however late.

    Attributes:
        tables: the state's tables. They hold the rows, the instant T0, and each leaf as it stood
            at D0, from which a step sees what changed.
        by_key: whether a step recomputes the entities that changed, not all.
        why: what decided that.
    """

    create: tuple[str, ...]
    step: tuple[str, ...]
    read: str
    tables: tuple[str, ...]
    by_key: bool
    why: str


def stored_queries(draft: Draft, create: str) -> StoredQueries:
    """The queries of a view, with parameters for the instants; ``create`` is F(D, $as_of)."""
    added = {
        leaf.name: added_relation(leaf.name)
        for leaf in draft.leaves.values()
        if leaf.role != "static"
    }
    before, after = instant_parameter("before"), instant_parameter("as_of")
    touched = touched_keys(draft, before, after, Changes(added))
    return StoredQueries(
        create=create,
        touched=touched.sql,
        step=read_as_of(draft, after, only="forebay_touched"),
        added=added if touched.sql is not None else {},
        why=touched.why,
    )


def maintain_state(draft: Draft) -> Incremental:
    """Statements that keep the state of a view in tables named ``<view>__state...``.

    Raises:
        CompileError: a leaf has such a name.
    """
    names = _Names(draft)
    names.refuse_taken()
    # Not read from the clock's table: DuckDB 2.0 mistakes a NOT IN beside such a subquery.
    at = instant_parameter("as_of")
    before = sqlglot.parse_one(f"(select before from {names.clock})", dialect=DUCKDB)
    touched = touched_keys(draft, before, at, _changes(draft, names))
    setup = [
        f"create or replace table {names.seen(key)} as {names.select(key)} from {names.leaf(key)}"
        for key in draft.leaves
    ]
    create = [
        "begin transaction",
        f"create or replace temp table {names.clock} as "
        f"select cast(null as timestamptz) as before, {known_instant()} as at_time where {at_utc()}",
        f"create or replace table {names.rows} as {read_as_of(draft, at)}",
        *setup,
        f"create or replace table {names.at} as select at_time from {names.clock}",
        "commit",
    ]
    step = [
        "begin transaction",
        f"create or replace temp table {names.clock} as select at_time as before, "
        f"{known_instant()} as at_time from {names.at} where {at_utc()}",
    ]
    if touched.sql is None:
        step += [
            f"delete from {names.rows}",
            f"insert into {names.rows} by name {read_as_of(draft, at)}",
        ]
    else:
        step += _recompute_touched(draft, names, touched.sql, at)
    step += [
        *setup,
        f"create or replace table {names.at} as select at_time from {names.clock}",
        "commit",
    ]
    now = sqlglot.parse_one(f"(select at_time from {names.at})", dialect=DUCKDB)
    read = guarded(f"select {feature_columns(draft, now)} from {names.rows} as stored")
    tables = (names.rows, names.at, *map(names.seen, draft.leaves))
    why = touched.why or "the rows that changed say which entities did"
    return Incremental(tuple(create), tuple(step), read, tables, touched.sql is not None, why)


def _recompute_touched(draft: Draft, names: _Names, touched: str, at: exp.Expr) -> list[str]:
    """Statements that compare each leaf with what was seen of it, and compute anew the keys touched."""
    keys = ", ".join(quoted(e) for e in draft.view.entities)
    statements = []
    for key in draft.leaves:
        here, there = (
            f"{names.select(key)} from {relation}"
            for relation in (names.leaf(key), names.seen(key))
        )
        statements += [
            f"create or replace temp table {names.added(key)} as {here} except all {there}",
            f"create or replace temp table {names.removed(key)} as {there} except all {here}",
        ]
    return [
        *statements,
        f"create or replace temp table {names.touched} as {touched}",
        f"delete from {names.rows} where ({keys}) in (select ({keys}) from {names.touched})",
        f"insert into {names.rows} by name {read_as_of(draft, at, only=names.touched)}",
    ]


@dataclass(frozen=True)
class _Names:
    """The tables of a state."""

    draft: Draft
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", f"{self.draft.view.name}__state")

    def refuse_taken(self) -> None:
        """Raises CompileError where a leaf has such a name."""
        for key, leaf in self.draft.leaves.items():
            if key.startswith(fold_name(self.prefix)):
                raise CompileError(
                    f"table {leaf.name} has a name that the state of {self.draft.view.name} uses "
                    "itself",
                    where=self.draft.file,
                    hint="rename the view or the table",
                )

    def _name(self, part: str) -> str:
        return f'"{self.prefix}{part}"'

    @property
    def rows(self) -> str:
        return self._name("")

    @property
    def at(self) -> str:
        return self._name("_at")

    @property
    def clock(self) -> str:
        return self._name("_clock")

    @property
    def touched(self) -> str:
        return self._name("_touched")

    def leaf(self, key: str) -> str:
        """A leaf's own table, as the author's SQL names it."""
        return duckdb_sql(leaf_table(self.draft.leaves[key]))

    def select(self, key: str) -> str:
        """SELECT of the columns that the leaf declares: its table may have gained others since."""
        return "select " + ", ".join(quoted(c) for c in self.draft.leaves[key].columns)

    def seen(self, key: str) -> str:
        """A leaf as it stood at D0."""
        return self._name(f"_seen_{key}")

    def added(self, key: str) -> str:
        return self._name(f"_added_{key}")

    def removed(self, key: str) -> str:
        return self._name(f"_removed_{key}")


def _changes(draft: Draft, names: _Names) -> Changes:
    leaves = {leaf.name: key for key, leaf in draft.leaves.items()}
    return Changes(
        came={name: names.added(key) for name, key in leaves.items()},
        went={name: names.removed(key) for name, key in leaves.items()},
        was={name: names.seen(key) for name, key in leaves.items()},
    )
