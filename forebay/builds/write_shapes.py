"""Write the features' latest statistics beside the catalog, for the catalogue's pictures.

A server reads neither the lake nor Iceberg, so a build leaves what pages draw in a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from pyiceberg.catalog import Catalog as Lake

from feature_specs.feature_shapes import FORMAT, SHAPES, FeatureShape, load_shapes
from forebay.dbt_project.project import Project
from lakehouse.lake import open_lake
from lakehouse.statistics import (
    FeatureStatistics,
    latest_statistics,
    read_baselines,
    read_statistics,
)
from lakehouse.write_text import write_if_changed

#: A view's name and a feature's.
Named: TypeAlias = tuple[str, str]

#: Builds that the line of null shares goes back, and how long ago they may have been where the file
#: of before does not tell.
_BUILDS, _BACK = 40, timedelta(days=40)


def write_shapes(project: Project) -> None:
    """Write statistics.json into target/forebay.

    Raises:
        ForebayError: the statistics cannot be read.
    """
    catalog, path = project.catalog(), project.folder / SHAPES
    lake = open_lake(project.lake)
    latest = latest_statistics(catalog)
    meanings = {entry.meaning for entry in latest.values()}
    baselines = read_baselines(lake, measured="build", meanings=meanings)
    shapes = shapes_of(
        latest,
        {(b.view, b.feature): b for b in baselines},
        _null_rates(lake, latest, load_shapes(path)),
    )
    text = json.dumps({"format": FORMAT, "features": shapes}, separators=(",", ":"))
    write_if_changed(path, text + "\n")


def _null_rates(
    lake: Lake,
    latest: Mapping[Named, FeatureStatistics],
    before: Mapping[str, FeatureShape],
) -> dict[Named, list[float | None]]:
    """The shares of nulls of each feature's last builds, oldest first.

    The file of the build before has all but the last one; only of features that it does not know
    past statistics are read.
    """
    rates: dict[Named, list[float | None]] = {}
    unknown: dict[Named, FeatureStatistics] = {}
    for (view, feature), entry in latest.items():
        shape = before.get(f"{view}:{feature}")
        if shape is None or shape.meaning != entry.meaning:
            unknown[view, feature] = entry
            continue
        known, as_of = list(shape.null_rates), datetime.fromisoformat(shape.as_of)
        if as_of >= entry.as_of:  # measured again, or a build of an earlier instant
            known = known[:-1]
        rates[view, feature] = [*known, entry.null_rate]
    if unknown:
        since = max(entry.as_of for entry in unknown.values()) - _BACK
        views = sorted({view for view, _ in unknown})
        for past in read_statistics(lake, views, since=since, measured="build"):
            last = unknown.get((past.view, past.feature))
            if last is not None and (past.meaning, past.as_of <= last.as_of) == (
                last.meaning,
                True,
            ):
                rates.setdefault((past.view, past.feature), []).append(past.null_rate)
    return {named: known[-_BUILDS:] for named, known in rates.items()}


def shapes_of(
    latest: Mapping[Named, FeatureStatistics],
    baselines: Mapping[Named, FeatureStatistics],
    null_rates: Mapping[Named, Sequence[float | None]],
) -> dict[str, dict[str, Any]]:
    """By ``view:feature``, what is drawn of its latest statistics.

    Args:
        null_rates: the shares of nulls of the last builds, oldest first.
    """
    made = {}
    for (view, feature), last in latest.items():
        base, bins = baselines.get((view, feature)), last.bins
        same = base is not None and base.meaning == last.meaning and base.bins == last.bins
        made[f"{view}:{feature}"] = {
            "meaning": last.meaning,
            "as_of": last.as_of.isoformat(),
            "kind": last.kind,
            "rows": last.rows,
            "nulls": last.nulls,
            "nans": last.nans,
            "distinct": last.distinct,
            "mean": last.mean,
            "stddev": last.stddev,
            "quantiles": last.quantiles,
            "edges": bins.edges if bins else (),
            "categories": bins.categories if bins else (),
            "counts": last.counts,
            "baseline": base.counts if base is not None and same else (),
            "null_rates": list(null_rates.get((view, feature), ())),
        }
    return made
