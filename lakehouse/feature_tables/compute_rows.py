"""The interface between engines, which compute a feature view's rows, and the code that commits them.

An engine fills temporary tables of one DuckDB connection; materialization finds what changed there
and commits it. So tables and state are the same whichever engine computed them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import duckdb
from pyiceberg.manifest import ManifestEntry

from feature_specs.catalog import ViewEntry
from feature_specs.deltas import added_relation
from lakehouse.data_files.select_rows import select_rows
from lakehouse.feature_tables.sum_up import all_sums, sum_deltas
from lakehouse.lake import FeatureState
from lakehouse.plans import ViewPlan
from lakehouse.scan import Pinned


class StepRefusedError(Exception):
    """A step cannot be computed here, but all rows can; says why, for people."""


@dataclass(frozen=True)
class RowTask:
    """What is to be computed.

    Attributes:
        leaves: the tables of the view's leaves, which the connection has as relations.
        at: T, microseconds since the epoch.
        run: runs a statement on the connection, ``$before`` and ``$as_of`` given.
    """

    view: ViewEntry
    plan: ViewPlan
    leaves: Mapping[str, Pinned]
    at: int
    run: Callable[[str], duckdb.DuckDBPyConnection]


class RowComputer(Protocol):
    """Fills temporary tables with a view's rows.

    Methods raise DataError or a DuckDB error where the rows break the view.
    """

    def compute_all(self) -> None:
        """Fill ``forebay_fresh`` with F(D, T), and the running sums where the plan has such."""

    def compute_touched(
        self, before: FeatureState, added: Mapping[str, Sequence[ManifestEntry]]
    ) -> None:
        """Fill ``forebay_touched``: keys that may have changed, or what is added to whose sums.

        Args:
            before: (D0, T0).
            added: the files that came to each leaf since.

        Raises:
            StepRefusedError: that cannot be computed here.
        """

    def compute_step(self) -> None:
        """Fill ``forebay_fresh`` with the rows of the keys in ``forebay_touched``, of F(D, T).

        Raises:
            StepRefusedError: that cannot be computed here.
        """


ComputeRows: TypeAlias = Callable[[RowTask], RowComputer]


class RowsHere:
    """DuckDB computes, in the connection itself."""

    def __init__(self, asked: RowTask) -> None:
        self._asked = asked

    def compute_all(self) -> None:
        deltas = self._asked.plan.deltas
        sql = self._asked.plan.create
        if deltas is not None:
            sql = all_sums(deltas, self._asked.leaves[deltas.leaf], self._asked.at)
        self._asked.run(f"create or replace temp table forebay_fresh as {sql}")

    def compute_touched(
        self, before: FeatureState, added: Mapping[str, Sequence[ManifestEntry]]
    ) -> None:
        asked = self._asked
        deltas = asked.plan.deltas
        if deltas is not None:
            leaf = asked.leaves[deltas.leaf]
            sum_deltas(asked.run, deltas, leaf, before, asked.at, added[deltas.leaf])
            return
        for name in asked.view.leaves:
            select = select_rows(asked.leaves[name].table, added[name])
            asked.run(f"create or replace temp view {added_relation(name)} as {select}")
        asked.run(f"create or replace temp table forebay_touched as {asked.plan.touched}")

    def compute_step(self) -> None:
        self._asked.run(f"create or replace temp table forebay_fresh as {self._asked.plan.step}")
