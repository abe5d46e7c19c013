"""The drift of a project's features: from their training sets, and from last week."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.drift_options import declares, thresholds_of
from feature_specs.quote import quoted
from feature_specs.view import FeatureReference
from lakehouse.lake import find_table, open_lake
from lakehouse.relations import connect, feature_relation_sql
from lakehouse.scan import pin
from lakehouse.statistics.feature_statistics import FeatureStatistics, role_of
from lakehouse.statistics.keep_statistics import read_baselines, read_measured_sets
from lakehouse.statistics.last_statistics import last_measured, latest_statistics
from lakehouse.statistics.measure_columns import SAMPLED, measure_columns
from lakehouse.statistics.measure_drift import Drift, measure_drift

#: What is compared with last week's is a week old at least, and two weeks at most.
WEEK = timedelta(days=7)

#: Where some entities have most of the labels, the two differ without any drift.
_OTHER_POPULATION = (
    "a table has a row an entity, a training set one a label; declare thresholds to judge it"
)


def drift_of_views(
    catalog: Catalog,
    folder: Path,
    views: Iterable[str] | None = None,
    *,
    features: Collection[str] | None = None,
    limits: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Drift]:
    """The drift of each feature as built last, from last week and from each training set.

    A feature without such a baseline has no entry for it. `measure_project` has to have run.

    Args:
        folder: where compile writes, target/forebay.
        views: names; None for all.
        features: names; of others nothing is measured. None for all.
        limits: thresholds in place of those that the views declare.
    """
    lake = open_lake(catalog.lake)
    names = list(catalog.views if views is None else views)
    found: list[Drift] = []
    built = [
        entry
        for entry in latest_statistics(catalog, names).values()
        if features is None or entry.feature in features
    ]
    trained = _latest_training(lake, names)
    connection = connect(catalog)
    for view in map(catalog.view, names):
        view = view if limits is None else replace(view, drift=limits)
        latest = {entry.feature: entry for entry in built if entry.view == view.name}
        if not latest:
            continue
        at = next(iter(latest.values())).as_of
        found += _from_last_week(lake, view, latest, at)
        mine = [b for b in trained if b.view == view.name]
        for name in dict.fromkeys(b.source for b in mine):
            baselines = [b for b in mine if b.source == name]
            found += _from_training(connection, catalog, lake, folder, view, latest, baselines)
    return found


def _from_last_week(
    lake: Lake, view: ViewEntry, latest: dict[str, FeatureStatistics], at: datetime
) -> list[Drift]:
    meanings = {view.name: view.definition_hash}
    earlier = last_measured(lake, meanings, since=at - 2 * WEEK, until=at - WEEK)
    before = {entry.feature: entry for entry in earlier}
    return [
        measure_drift(now, before[name], "last week", thresholds_of(view.drift, name))
        for name, now in latest.items()
        if name in before
    ]


def _latest_training(lake: Lake, views: Sequence[str]) -> list[FeatureStatistics]:
    """The baselines of each training set as it was measured last."""
    last = read_measured_sets(lake)
    found = read_baselines(lake, views, measured="training", sources=last)
    return [b for b in found if b.snapshot == last[b.source]]


def _from_training(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    lake: Lake,
    folder: Path,
    view: ViewEntry,
    latest: dict[str, FeatureStatistics],
    baselines: Sequence[FeatureStatistics],
) -> list[Drift]:
    """Drift from one training set, into whose bins the values of now are counted."""
    relation = feature_relation_sql(lake, folder, view)
    baselines = [b for b in baselines if b.feature in latest]
    if relation is None:
        return []
    bins = {b.feature: b.bins for b in baselines if b.bins is not None}
    types = {name: latest[name].type for name in bins}
    measures = measure_columns(connection, f"({relation})", view.keys, types, bins)
    trained = _training_relation(catalog, lake, baselines)
    found = []
    for baseline in baselines:
        name = baseline.feature
        now, ks = latest[name], None
        if name in measures:
            now = replace(now, bins=measures[name].bins, counts=measures[name].counts)
        column = FeatureReference(role_of(baseline.source)[1] or baseline.view, name).column
        if trained is not None and baseline.kind == "number" and name in measures:
            ks = kolmogorov_smirnov_of(connection, (relation, name), (trained, column))
        allowed = thresholds_of(view.drift, name)
        against = f"training set {baseline.source}"
        drift = measure_drift(now, baseline, against, allowed, ks=ks)
        if not drift.why_not and not declares(view.drift, name):
            drift = replace(drift, over=(), why_not=_OTHER_POPULATION)
        found.append(drift)
    return found


def _training_relation(
    catalog: Catalog, lake: Lake, baselines: Sequence[FeatureStatistics]
) -> str | None:
    """A SELECT of the training set's rows; None where it is another one by now."""
    entry = catalog.training_sets.get(role_of(baselines[0].source)[0]) if baselines else None
    table = None if entry is None else find_table(lake, entry.table)
    if table is None:
        return None
    pinned = pin(table)
    return pinned.sql if pinned.snapshot == baselines[0].snapshot else None


def kolmogorov_smirnov_of(
    connection: duckdb.DuckDBPyConnection, now: tuple[str, str], before: tuple[str, str]
) -> float | None:
    """The two-sample statistic of the finite values of two columns, each a SELECT and a name.

    Of more than SAMPLED values, of so many of them. None where either has none.
    """
    sides = [
        f"(select cast({quoted(column)} as double) as x from ({sql}) as side "
        f"where isfinite(cast({quoted(column)} as double)) using sample reservoir({SAMPLED} rows) "
        "repeatable (1))"
        for sql, column in (now, before)
    ]
    ((statistic,),) = connection.execute(
        f"with a as {sides[0]}, b as {sides[1]}, "
        "merged as (select x, 1 as up, 0 as down from a union all select x, 0, 1 from b), "
        "upto as (select sum(up) over w as up, sum(down) over w as down from merged "
        "window w as (order by x range unbounded preceding)) "
        "select max(abs(up / (select count(*) from a) - down / (select count(*) from b))) "
        "from upto where exists (from a) and exists (from b)"
    ).fetchall()
    return None if statistic is None else float(statistic)
