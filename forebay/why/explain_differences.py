"""Explain differences between the online store and the lake: their kind, and the source rows.

What the store ought to hold is in the view's log, at the position and the instant T that the store
itself names. Where it holds that, it is behind, and the source rows say why: they came later, were
late, or their time is over. Where it does not, it has lost a write or holds what was never computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import duckdb

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.compile.compiled_view import CompiledView
from feature_specs.instants import from_epoch_us
from feature_specs.names import fold_name
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import Project
from forebay.why.source_rows import (
    LOOKED_AT,
    ExpiredLeafError,
    Leaves,
    SourceRows,
    TooManyRowsError,
    dicts,
    key_parameters,
)
from lakehouse.lake import FeatureState, find_table, load_table, open_lake, read_state
from lakehouse.past_states import leaves_at
from lakehouse.relations import tune
from lakehouse.scan import Pinned, pin
from serving.state import ViewState, load_state
from serving.stores import StoredView, open_store
from serving.stores.protocol import view_of
from serving.verify import Difference, VerifyReport, same_value

Kind: TypeAlias = Literal["late row", "stale sync", "other meaning", "expired", "lost", "wrong"]

#: Source rows that are kept of a difference.
_KEPT = 5


@dataclass(frozen=True)
class Cause:
    """A source row behind a difference: it ``came`` after the sync, was ``late``, has ``gone`` by time,
    or was ``removed`` from its table."""

    change: Literal["came", "late", "gone", "removed"]
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Explained:
    """A difference with its kind, why it is of that kind, and source rows that caused it.

    Attributes:
        causes: at most five; total: how many there are.
        at: of what was served the instant of the answer, in microseconds since the epoch.
    """

    view: str
    difference: Difference
    kind: Kind
    why: str
    causes: tuple[Cause, ...] = ()
    total: int = 0
    at: int = 0


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
            of_before = state is None and any(view_of(s.name) == view.name for s in store.states())
            with _Explainer(catalog, view, compiled.view(view.name), of_before) as explainer:
                built = Moment(explainer.built.at, explainer.built.snapshots)
                found += [explainer.explain(d, state, built) for d in report.examples]
    return found


@dataclass(frozen=True)
class Moment:
    """A D and a T: the snapshot of each leaf, and microseconds since the epoch."""

    at: int
    leaves: Leaves


@dataclass(frozen=True)
class Served:
    """A value that was served and is another one in training.

    Attributes:
        difference: ``offline`` is F(D, at) over the leaves of now, ``online`` what was served.
        at, loaded_at: t and T of the answer, in microseconds since the epoch.
        behind: it is F(D, T), so that only what has happened since explains it.
        leaves: D of what was served, where a stream had put it online; None where a build had.
        too_old: rows were there, and were too old to be served: by ttl, or by on_stale.
    """

    difference: Difference
    at: int
    loaded_at: int
    behind: bool
    leaves: Leaves | None = None
    too_old: bool = False


def explain_served(
    catalog: Catalog, view: ViewEntry, compiled: CompiledView, cases: Sequence[Served]
) -> list[Explained]:
    """Explain what was served of a view and differs from what training has for the same instant.

    Raises:
        ForebayError: the view is not built, or its lake cannot be read.
    """
    found = []
    with _Explainer(catalog, view, compiled) as explainer:
        # Training reads the leaves as they stand now, whatever the last build has read.
        leaves = _leaves_now(catalog, explainer.built)
        for case in cases:
            online = ViewState(case.loaded_at, view.semantic_hash, rows=0, leaves=case.leaves)
            trained = Moment(case.at, leaves)
            if not case.behind:
                found.append(explainer.explain(case.difference, online, trained))
                continue
            told = explainer.behind(case.difference, online, trained)
            if case.too_old and not told.causes:
                why = "what the store had was too old to be served, by ttl or on_stale"
                told = replace(told, kind="expired", why=why)
            found.append(told)
    return [replace(told, at=case.at) for told, case in zip(found, cases, strict=True)]


def _leaves_now(catalog: Catalog, state: FeatureState) -> Leaves:
    lake = open_lake(catalog.lake)
    return {
        leaf: pin(load_table(lake, catalog.leaves[leaf].table)).snapshot for leaf in state.snapshots
    }


class _Explainer:
    """The log and the leaves of one view; what it opens is closed at the end.

    Attributes:
        built: the state that the view's table was left in.

    Args:
        of_before: whether the store has rows of the view of another meaning, and none of this one.
    """

    def __init__(
        self, catalog: Catalog, view: ViewEntry, compiled: CompiledView, of_before: bool = False
    ) -> None:
        self._view, self._of_before = view, of_before
        lake = open_lake(catalog.lake)
        self._log = find_table(lake, view.history_table)
        built = read_state(load_table(lake, view.table))
        assert built is not None  # else verify had an error
        self.built = built
        self._sources = SourceRows(catalog, view, compiled)
        self._known_leaves: dict[tuple[int, int | None, str], Leaves | None] = {}
        self._connection = duckdb.connect()
        tune(self._connection)

    def __enter__(self) -> _Explainer:
        return self

    def __exit__(self, *_: object) -> None:
        self._sources.close()
        self._connection.close()

    def explain(self, difference: Difference, online: ViewState | None, now: Moment) -> Explained:
        """Tell why the store has another value than F(D, T) of ``now``."""
        if online is None and not self._of_before:
            return self._told(difference, "stale sync", "the view was never synced")
        if online is None or online.semantic_hash != self._view.semantic_hash:
            why = "the online rows were computed by another query than the compiled one"
            return self._told(difference, "other meaning", why)
        if online.leaves is not None:
            return self._of_stream(difference, online, now)
        then, earlier, _ = self._logged(difference, online)
        if self._holds(difference, then):
            if online.at > now.at:
                why = "the feature table is behind the store: run `forebay build`"
                return self._told(difference, "stale sync", why)
            return self.behind(difference, online, now)
        if _is_missing(difference) and then is None:
            return self.behind(difference, online, now)
        at = from_epoch_us(online.at).isoformat()
        if _is_missing(difference) or any(self._holds(difference, row) for row in earlier):
            why = f"the sync of {at} wrote another value, which the store does not have"
            return self._told(difference, "lost", why)
        why = f"no build up to {at} ever gave what the store has"
        return self._told(difference, "wrong", why)

    def _of_stream(self, difference: Difference, online: ViewState, now: Moment) -> Explained:
        """What a stream put online is in no log: it is held to F of its own D and T."""
        leaves = online.leaves
        assert leaves is not None
        at = from_epoch_us(online.at)
        try:
            row = self._sources.stored_row(leaves, difference.key, at)
        except ExpiredLeafError:
            why = "a stream wrote it, and the snapshots that it was computed from have expired"
            return self._told(difference, "stale sync", why)
        if not self._holds(difference, row):
            why = f"a stream wrote the store at {at.isoformat()}, and its query gives another value"
            return self._told(difference, "wrong", why)
        if online.at > now.at:
            why = "a stream has put it online ahead of the build: run `forebay build`"
            return self._told(difference, "stale sync", why)
        return self.behind(difference, online, now)

    def behind(self, difference: Difference, online: ViewState, now: Moment) -> Explained:
        """The store has what was right when it was written; what has happened since?"""
        then, key = from_epoch_us(online.at), difference.key
        before = self._leaves_of(online)
        try:
            rows_now = self._sources.read(now.leaves, key, from_epoch_us(now.at))
            rows_mid = self._sources.read(now.leaves, key, then)
            rows_then = None if before is None else self._sources.read(before, key, then)
        except TooManyRowsError:
            why = f"more than {LOOKED_AT:,} source rows are behind it: they cannot be traced one by one"
            return self._told(difference, "stale sync", why)
        if rows_now is None or rows_mid is None:
            why = "its source rows cannot be traced one by one"
            return self._told(difference, "stale sync", why)
        known = rows_then if rows_then is not None else rows_mid
        causes = [
            *(Cause("late", row) for row in _without(rows_mid, known)),
            *(Cause("removed", row) for row in _without(known, rows_mid)),
            *(Cause("came", row) for row in _without(rows_now, rows_mid)),
            *(Cause("gone", row) for row in _without(rows_mid, rows_now)),
        ]
        _, _, later = self._logged(difference, online)
        if not later and not causes:
            why = (
                "the store stands before the table's last build, which left no row of it in the log"
            )
            return self._told(difference, "expired", why)
        return self._told(difference, *_kind({cause.change for cause in causes}, then), causes)

    def _told(
        self, difference: Difference, kind: Kind, why: str, causes: Sequence[Cause] = ()
    ) -> Explained:
        return Explained(self._view.name, difference, kind, why, tuple(causes[:_KEPT]), len(causes))

    def _logged(
        self, difference: Difference, online: ViewState
    ) -> tuple[Mapping[str, Any] | None, list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """The entity's row in the log where the store stands, those before it, and those after it;
        None for no row, be it deleted or never there."""
        if self._log is None:
            return None, [], []
        every = self._entries(pin(self._log), difference.key)
        position = online.log
        if position is not None and self._log.snapshot_by_id(position) is not None:
            known = self._entries(Pinned(self._log, position), difference.key)
        elif position == -1:
            known = []
        else:
            at = from_epoch_us(online.at)
            known = [row for row in every if row["computed_at"] <= at]
        last = known[-1] if known and not known[-1]["deleted"] else None
        return last, known[:-1], every[len(known) :]

    def _entries(self, log: Pinned, key: tuple[str, ...]) -> list[Mapping[str, Any]]:
        if log.snapshot is None:
            return []
        where = self._sources.key_condition
        sql = f"select * from ({log.sql}) as log where {where} order by committed_at"
        return dicts(self._connection.execute(sql, key_parameters(key)))

    def _holds(self, difference: Difference, row: Mapping[str, Any] | None) -> bool:
        """Whether the online side of a difference is a row of the log."""
        if difference.column is None:
            return (difference.online is None) == (row is None or bool(row.get("deleted")))
        column = fold_name(difference.column)
        if row is None:
            return False
        found = {fold_name(name): value for name, value in row.items()}
        return column in found and same_value(found[column], difference.online)

    def _leaves_of(self, online: ViewState) -> Leaves | None:
        """D of the store's rows; None where it is not known any more."""
        if online.leaves is not None:
            return online.leaves
        if self._log is None:
            return None
        asked = (online.at, online.log, online.semantic_hash)
        if asked not in self._known_leaves:
            self._known_leaves[asked] = leaves_at(self._log, *asked)
        return self._known_leaves[asked]


def _is_missing(difference: Difference) -> bool:
    return difference.column is None and difference.online is None


def _kind(changes: Set[str], then: datetime) -> tuple[Kind, str]:
    synced = then.isoformat()
    if "late" in changes:
        return "late row", f"rows of before {synced} were committed after the sync"
    if "removed" in changes:
        return "late row", f"rows of before {synced} were removed or replaced after the sync"
    if "came" in changes:
        return "stale sync", f"rows have come since {synced}, of which the store's rows are"
    return "expired", f"the time of what it was made of has run out since {synced}"


def _without(
    rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The rows that are not among others, each as often as there it is missing."""
    left = Counter(map(repr, others))
    out = []
    for row in rows:
        text = repr(row)
        if left[text] > 0:
            left[text] -= 1
        else:
            out.append(row)
    return out
