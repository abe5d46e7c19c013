"""Write the features' latest statistics beside the catalog, for the catalogue's pictures.

A server reads neither the lake nor Iceberg, so a build leaves what pages draw in a file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from feature_specs.feature_shapes import FORMAT, SHAPES
from forebay.dbt_project.project import Project
from lakehouse.lake import open_lake
from lakehouse.statistics import FeatureStatistics, read_baselines, read_statistics
from lakehouse.write_text import write_if_changed

#: Builds that the line of null shares goes back.
_BUILDS = 40


def write_shapes(project: Project) -> None:
    """Write statistics.json into target/forebay.

    Raises:
        ForebayError: the statistics cannot be read.
    """
    catalog = project.catalog()
    lake = open_lake(project.lake)
    built = read_statistics(lake, catalog.views, measured="build")
    baselines = {(b.view, b.feature): b for b in read_baselines(lake, measured="build")}
    shapes = shapes_of(built, baselines)
    text = json.dumps({"format": FORMAT, "features": shapes}, separators=(",", ":"))
    write_if_changed(project.folder / SHAPES, text + "\n")


def shapes_of(
    built: Iterable[FeatureStatistics],
    baselines: Mapping[tuple[str, str], FeatureStatistics],
) -> dict[str, dict[str, Any]]:
    """By ``view:feature``, what is drawn of its latest statistics.

    Args:
        built: of builds, the oldest first.
    """
    past: dict[tuple[str, str], list[FeatureStatistics]] = defaultdict(list)
    for entry in built:
        past[entry.view, entry.feature].append(entry)
    made = {}
    for (view, feature), entries in past.items():
        last, base = entries[-1], baselines.get((view, feature))
        same = base is not None and base.meaning == last.meaning and base.bins == last.bins
        bins = last.bins
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
            "null_rates": [e.null_rate for e in entries[-_BUILDS:] if e.meaning == last.meaning],
        }
    return made
