"""Measure the features of a project's tables as they were built last, and its training sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, ServiceEntry, TrainingSetEntry, ViewEntry
from feature_specs.instants import from_epoch_us
from feature_specs.view import FeatureReference
from lakehouse.duckdb_types import column_types
from lakehouse.lake import FeatureState, find_table, open_lake, read_state
from lakehouse.relations import connect, feature_relation_sql
from lakehouse.scan import pin
from lakehouse.statistics.feature_statistics import (
    Bins,
    FeatureStatistics,
    role_of,
    source_in_role,
)
from lakehouse.statistics.keep_statistics import (
    keep_statistics,
    read_baselines,
    read_measured_sets,
    read_statistics,
)
from lakehouse.statistics.measure_columns import Measure, measure_columns


def measure_project(
    catalog: Catalog, folder: Path, views: Iterable[str] | None = None
) -> list[FeatureStatistics]:
    """Measure what was built since it was measured last, and keep that. Returns what is new.

    A feature that is measured for the first time in its present meaning is its own baseline, whose
    bins then stay. A training set is a baseline with bins of its own.

    Args:
        folder: where compile writes, target/forebay.
        views: names; None for all.

    Raises:
        ForebayError: a table cannot be read, or the statistics cannot be written.
    """
    lake = open_lake(catalog.lake)
    names = list(catalog.views if views is None else views)
    measuring = _Measuring(catalog, lake, folder)
    for name in names:
        measuring.view(catalog.view(name))
    known = {(role_of(source)[0], at) for source, at in read_measured_sets(lake).items()}
    for entry in catalog.training_sets.values() if views is None else ():
        measuring.training_set(entry, known)
    keep_statistics(lake, measuring.entries, measuring.new_baselines)
    return measuring.entries + [b for b in measuring.new_baselines if b.measured == "training"]


def measured_features(view: ViewEntry) -> dict[str, str]:
    """Name to type of the features that have a value without a request."""
    return {f.name: f.type for f in view.features if not f.needs_request}


@dataclass
class _Measuring:
    """One pass over a project's tables, and what it found."""

    catalog: Catalog
    lake: Lake
    folder: Path
    entries: list[FeatureStatistics] = field(default_factory=list)
    new_baselines: list[FeatureStatistics] = field(default_factory=list)
    _connection: duckdb.DuckDBPyConnection | None = None
    #: By instant, what was measured already: views of one build share theirs.
    _known: dict[int, set[tuple[str, str, int | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        meanings = {view.definition_hash for view in self.catalog.views.values()}
        self.baselines = read_baselines(self.lake, measured="build", meanings=meanings)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = connect(self.catalog)
        return self._connection

    def view(self, view: ViewEntry) -> None:
        table = find_table(self.lake, view.table)
        state = read_state(table)
        if table is None or state is None or state.semantic_hash != view.semantic_hash:
            return  # not built yet in its present meaning
        snapshot = pin(table).snapshot
        if self._is_measured(view, state, snapshot):
            return
        relation = feature_relation_sql(self.lake, self.folder, view)
        columns = measured_features(view)
        if relation is None or not columns:
            return
        frozen = self._frozen(view)
        measures = measure_columns(self.connection, f"({relation})", view.keys, columns, frozen)
        for name, measure in measures.items():
            entry = _statistics(
                measure,
                view=view.name,
                feature=name,
                type=columns[name],
                measured="build",
                source=view.table,
                meaning=view.definition_hash,
                as_of=from_epoch_us(state.at),
                snapshot=snapshot,
            )
            self.entries.append(entry)
            if name not in frozen and entry.bins is not None:
                self.new_baselines.append(entry)

    def training_set(self, entry: TrainingSetEntry, known: set[tuple[str, int | None]]) -> None:
        table = find_table(self.lake, entry.table)
        service = self.catalog.services.get(entry.service)
        if table is None or service is None:
            return
        pinned = pin(table)
        if pinned.snapshot is None or (entry.name, pinned.snapshot) in known:
            return
        held = column_types(table.schema())
        references = _features_in(self.catalog, service, held)
        columns = {column: held[column] for column in references}
        measures = measure_columns(self.connection, f"({pinned.sql})", (), columns, {})
        at = table.current_snapshot()
        assert at is not None
        for column, (view, feature) in references.items():
            behind = self.catalog.view_behind(view)
            self.new_baselines.append(
                _statistics(
                    measures[column],
                    view=behind,
                    feature=feature,
                    type=columns[column],
                    measured="training",
                    source=source_in_role(entry.name, None if view == behind else view),
                    meaning=self.catalog.view(view).definition_hash,
                    as_of=from_epoch_us(at.timestamp_ms * 1000),
                    snapshot=pinned.snapshot,
                )
            )

    def _is_measured(self, view: ViewEntry, state: FeatureState, snapshot: int | None) -> bool:
        if state.at not in self._known:
            at = from_epoch_us(state.at)
            found = read_statistics(self.lake, since=at, until=at, measured="build")
            self._known[state.at] = {(e.view, e.meaning, e.snapshot) for e in found}
        return (view.name, view.definition_hash, snapshot) in self._known[state.at]

    def _frozen(self, view: ViewEntry) -> dict[str, Bins]:
        """The bins of a view's features in its present meaning."""
        return {
            b.feature: b.bins
            for b in self.baselines
            if (b.view, b.meaning) == (view.name, view.definition_hash) and b.bins is not None
        }


def _features_in(
    catalog: Catalog, service: ServiceEntry, held: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Columns of a training set to the view and the feature that they are of."""
    named = {name.lower(): name for name in held}
    found = {}
    for view, feature in service.features:
        column = FeatureReference(view, feature).column.lower()
        if column in named:
            found[named[column]] = (view, catalog.view(view).feature(feature).own_name)
    return found


def _statistics(measure: Measure, **known: Any) -> FeatureStatistics:
    return FeatureStatistics(**known, measured_at=datetime.now(UTC), **vars(measure))
