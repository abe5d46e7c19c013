"""Statistics of features: measured per build, kept in Iceberg, compared with a baseline.

`read_statistics` gives what was measured of features over time, and `read_baselines` what they
are compared with; each entry is a `FeatureStatistics`, which holds a histogram to draw::

    for entry in read_statistics(open_lake(catalog.lake), views=["spending"]):
        print(entry.feature, entry.as_of, entry.nulls / entry.rows, entry.bins, entry.counts)
"""

from lakehouse.statistics.feature_statistics import Bins, FeatureStatistics
from lakehouse.statistics.keep_statistics import read_baselines, read_statistics
from lakehouse.statistics.last_statistics import latest_statistics

__all__ = [
    "Bins",
    "FeatureStatistics",
    "latest_statistics",
    "read_baselines",
    "read_statistics",
]
