"""Explain differences between the online store and the lake: their kind, and the source rows.

What the store ought to hold is in the view's log, at the position and the instant T that the store
itself names. Where it holds that, it is behind, and the source rows say why: they came later, were
late, or their time is over. Where it does not, it has lost a write or holds what was never computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import duckdb
from pyiceberg.table import StaticTable, Table

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.compile.compiled_view import CompiledView
from feature_specs.instants import epoch_us, from_epoch_us
from feature_specs.names import fold_name
from feature_specs.quote import quoted
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import Project
from lakehouse.lake import FeatureState, find_table, load_table, open_lake, read_state
from lakehouse.relations import connect, define_relations
from lakehouse.scan import Pinned, pin
from serving.state import ViewState, load_state
from serving.stores import StoredView, open_store
from serving.stores.protocol import view_of
from serving.verify import Difference, VerifyReport, same_value

Kind: TypeAlias = Literal["late row", "stale sync", "other meaning", "expired", "lost", "wrong"]

#: Source rows that are looked at for one entity, and those that are kept of them.
_LOOKED_AT, _KEPT = 10_000, 5


@dataclass(frozen=True)
class Cause:
    """A source row behind a difference: it ``came`` after the sync, was ``late`` or has ``gone``."""

    change: Literal["came", "late", "gone"]
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Explained:
    """A difference with its kind, why it is of that kind, and source rows that caused it.

    Attributes:
        causes: at most five; total: how many there are.
    """

    view: str
    difference: Difference
    kind: Kind
    why: str
    causes: tuple[Cause, ...] = ()
    total: int = 0


def explain_differences(
    project: Project, catalog: Catalog, reports: Sequence[VerifyReport]
) -> list[Explained]:
    """Explain the examples that `verify` gives of each view.

    Raises:
        ForebayError: the project does not compile any more, or its lake cannot be read.
    """
    wrong = [r for r in reports if r.examples and r.error is None]
    if not wrong:
        return []
    compiled = compile_project(project, write=False)
    found: list[Explained] = []
    with closing(open_store(catalog.online, readonly=True)) as store:
        for report in wrong:
            view = catalog.view(report.view)
            state = load_state(store.get_state(StoredView.of(view)))
            explainer = _Explainer(catalog, view, compiled.view(view.name), state)
            if state is None:
                others = [s for s in store.states() if view_of(s.name) == view.name]
                explainer.of_before = bool(others)
            found += [explainer.explain(difference) for difference in report.examples]
    return found


@dataclass(frozen=True)
class Served:
    """A value that was served and is another one in training.

    Attributes:
        difference: ``offline`` is F(D, at) over the leaves of now, ``online`` what was served.
        at, loaded_at: t and T of the answer, in microseconds since the epoch.
        behind: it is F(D, T), so that only what has happened since explains it.
    """

    difference: Difference
    at: int
    loaded_at: int
    behind: bool


def explain_served(
    catalog: Catalog, view: ViewEntry, compiled: CompiledView, cases: Sequence[Served]
) -> list[Explained]:
    """Explain what was served of a view and differs from what training has for the same instant.

    Raises:
        ForebayError: the view is not built, or its lake cannot be read.
    """
    found = []
    for case in cases:
        online = ViewState(case.loaded_at, view.semantic_hash, rows=0)
        explainer = _Explainer(catalog, view, compiled, online)
        # Training reads the leaves as they stand now, whatever the last build has read.
        explainer.offline = replace(
            explainer.offline, at=case.at, snapshots=_leaves_now(catalog, explainer.offline)
        )
        if case.behind:
            _, _, later = explainer._logged(case.difference)
            found.append(explainer._behind(case.difference, online, later))
        else:
            found.append(explainer.explain(case.difference))
    return found


def _leaves_now(catalog: Catalog, state: FeatureState) -> dict[str, int | None]:
    lake = open_lake(catalog.lake)
    return {
        leaf: pin(load_table(lake, catalog.leaves[leaf].table)).snapshot for leaf in state.snapshots
    }


@dataclass
class _Explainer:
    """The log and the leaves of one view, as they stood when the store was written, and now.

    Attributes:
        of_before: whether the store has rows of the view of another meaning, and none of this one.
    """

    catalog: Catalog
    view: ViewEntry
    compiled: CompiledView
    online: ViewState | None
    of_before: bool = False
    _connections: dict[str, duckdb.DuckDBPyConnection | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lake = open_lake(self.catalog.lake)
        self.log = find_table(lake, self.view.history_table)
        offline = read_state(load_table(lake, self.view.table))
        assert offline is not None  # else verify had an error
        self.offline = offline

    def explain(self, difference: Difference) -> Explained:
        online = self.online
        if online is None and not self.of_before:
            return self._told(difference, "stale sync", "the view was never synced")
        if online is None or online.semantic_hash != self.view.semantic_hash:
            why = "the online rows were computed by another query than the compiled one"
            return self._told(difference, "other meaning", why)
        then, earlier, later = self._logged(difference)
        if self._holds(difference, then):
            if online.at > self.offline.at:
                why = "the feature table is behind the store: run `forebay build`"
                return self._told(difference, "stale sync", why)
            return self._behind(difference, online, later)
        if _is_missing(difference) and then is None:
            return self._behind(difference, online, later)
        at = from_epoch_us(online.at).isoformat()
        if _is_missing(difference) or any(self._holds(difference, row) for row in earlier):
            why = f"the sync of {at} wrote another value, which the store does not have"
            return self._told(difference, "lost", why)
        why = f"no build up to {at} ever gave what the store has"
        return self._told(difference, "wrong", why)

    def _behind(
        self, difference: Difference, online: ViewState, later: Sequence[Mapping[str, Any]]
    ) -> Explained:
        """The store has what was right when it was written; what has happened since?"""
        then = from_epoch_us(online.at)
        now = from_epoch_us(self.offline.at)
        rows_now = self._rows("now", self.offline.snapshots, difference.key, now)
        rows_mid = self._rows("now", self.offline.snapshots, difference.key, then)
        before = self._leaves_of(online)
        rows_then = None if before is None else self._rows("then", before, difference.key, then)
        kind: Kind
        if rows_now is None or rows_mid is None:
            kind, why, causes = "stale sync", "its source rows cannot be traced one by one", []
        else:
            late = _without(rows_mid, rows_then if rows_then is not None else rows_mid)
            came, gone = _without(rows_now, rows_mid), _without(rows_mid, rows_now)
            causes = [
                *(Cause("late", row) for row in late),
                *(Cause("came", row) for row in came),
                *(Cause("gone", row) for row in gone),
            ]
            kind, why = _kind(len(late), len(came), then)
        if not later and not causes:
            why = (
                "the store stands before the table's last build, which left no row of it in the log"
            )
        return self._told(difference, kind, why, causes)

    def _told(
        self, difference: Difference, kind: Kind, why: str, causes: Sequence[Cause] = ()
    ) -> Explained:
        return Explained(self.view.name, difference, kind, why, tuple(causes[:_KEPT]), len(causes))

    def _logged(
        self, difference: Difference
    ) -> tuple[Mapping[str, Any] | None, list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """The entity's row in the log where the store stands, those before it, and those after it;
        None for no row, be it deleted or never there."""
        if self.log is None or self.online is None:
            return None, [], []
        connection = self._connect("log", {})
        assert connection is not None
        every = self._entries(connection, pin(self.log), difference.key)
        position = self.online.log
        if position is not None and self.log.snapshot_by_id(position) is not None:
            known = self._entries(connection, Pinned(self.log, position), difference.key)
        elif position == -1:
            known = []
        else:
            at = from_epoch_us(self.online.at)
            known = [row for row in every if row["computed_at"] <= at]
        last = known[-1] if known and not known[-1]["deleted"] else None
        return last, known[:-1], every[len(known) :]

    def _entries(
        self, connection: duckdb.DuckDBPyConnection, log: Pinned, key: tuple[str, ...]
    ) -> list[Mapping[str, Any]]:
        if log.snapshot is None:
            return []
        where = " and ".join(
            f"{quoted(name)} = cast(${n} as {column.type})"
            for n, (name, column) in enumerate(
                zip(self.view.keys, self.view.entities, strict=True), 1
            )
        )
        return _dicts(
            connection.execute(
                f"select * from ({log.sql}) as log where {where} order by committed_at", list(key)
            )
        )

    def _holds(self, difference: Difference, row: Mapping[str, Any] | None) -> bool:
        """Whether the online side of a difference is a row of the log."""
        if difference.column is None:
            return (difference.online is None) == (row is None or bool(row["deleted"]))
        column = fold_name(difference.column)
        return row is not None and column in row and same_value(row[column], difference.online)

    def _leaves_of(self, online: ViewState) -> Mapping[str, int | None] | None:
        """D of the store's rows; None where it is not known any more."""
        if online.leaves is not None:
            return online.leaves
        if self.log is None:
            return None
        state = next((s for s in _states(self.log) if s.at == online.at), None)
        return None if state is None else state.snapshots

    def _rows(
        self, name: str, leaves: Mapping[str, int | None], key: tuple[str, ...], at: datetime
    ) -> list[Mapping[str, Any]] | None:
        """The source rows behind an entity at an instant, over leaves as they stood."""
        sql = self.compiled.trace("forebay_asked", "forebay_asked_at")
        connection = None if sql is None else self._connect(name, leaves)
        if connection is None:
            return None
        casts = ", ".join(
            f"cast(${n} as {column.type}) as {quoted(column.name)}"
            for n, column in enumerate(self.view.entities, 1)
        )
        connection.execute(
            f"create or replace temp table forebay_asked as select {casts}, "
            f"make_timestamptz({epoch_us(at)}) as forebay_asked_at",
            list(key),
        )
        return _dicts(connection.execute(f"select * from ({sql}) limit {_LOOKED_AT}"))

    def _connect(
        self, name: str, leaves: Mapping[str, int | None]
    ) -> duckdb.DuckDBPyConnection | None:
        """A connection with the leaves at some snapshots; None where one has expired."""
        if name not in self._connections:
            self._connections[name] = self._open(leaves)
        return self._connections[name]

    def _open(self, leaves: Mapping[str, int | None]) -> duckdb.DuckDBPyConnection | None:
        lake, pinned = open_lake(self.catalog.lake), {}
        for leaf, snapshot in leaves.items():
            entry = self.catalog.leaves[leaf]
            table = load_table(lake, entry.table)
            if snapshot is not None and table.snapshot_by_id(snapshot) is None:
                return None
            pinned[entry.relation] = Pinned(table, snapshot)
        connection = connect(self.catalog)
        define_relations(connection, pinned)
        return connection


def _is_missing(difference: Difference) -> bool:
    return difference.column is None and difference.online is None


def _kind(late: int, came: int, then: datetime) -> tuple[Kind, str]:
    synced = then.isoformat()
    if late:
        return "late row", f"rows of before {synced} were committed after the sync"
    if came:
        return "stale sync", f"rows have come since {synced}, of which the store's rows are"
    return "expired", f"the time of what it was made of has run out since {synced}"


def _without(
    rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The rows that are not among others, each as often as there it is missing."""
    left = [repr(row) for row in others]
    out = []
    for row in rows:
        text = repr(row)
        if text in left:
            left.remove(text)
        else:
            out.append(row)
    return out


def _states(log: Table) -> list[FeatureState]:
    """The states that a log has had, the newest first, as far as its metadata files go back."""
    found = [read_state(log)]
    for entry in reversed(log.metadata.metadata_log):
        try:
            found.append(read_state(StaticTable.from_metadata(entry.metadata_file)))
        except (FileNotFoundError, ValueError):
            break  # deleted by `forebay maintain`
    return [state for state in found if state is not None]


def _dicts(result: duckdb.DuckDBPyConnection) -> list[Mapping[str, Any]]:
    names = [d[0] for d in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
