"""The last statistics of each feature, without reading the history: days are read backwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta

from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog
from feature_specs.instants import from_epoch_us
from lakehouse.lake import find_table, open_lake, read_state
from lakehouse.statistics.feature_statistics import FeatureStatistics
from lakehouse.statistics.keep_statistics import read_statistics

#: A build whose statistics were not kept is stood in for by one that is so much older at most.
_OLDER = timedelta(days=14)


def latest_statistics(
    catalog: Catalog, views: Iterable[str] | None = None
) -> dict[tuple[str, str], FeatureStatistics]:
    """The last statistics of each feature that the project has, by view and feature name.

    They are of the build that each view's table is of or, where that was not measured, of the last
    one of up to two weeks before it; only those of the view's present definition count.

    Args:
        views: names; None for all.
    """
    lake = open_lake(catalog.lake)
    built: dict[int, dict[str, str]] = {}
    for name in catalog.views if views is None else views:
        view = catalog.view(name)
        state = read_state(find_table(lake, view.table))
        if state is not None:
            built.setdefault(state.at, {})[view.name] = view.definition_hash
    found: dict[tuple[str, str], FeatureStatistics] = {}
    for at, meanings in built.items():
        until = from_epoch_us(at)
        for entry in last_measured(lake, meanings, since=until - _OLDER, until=until):
            if any(f.name == entry.feature for f in catalog.view(entry.view).features):
                found[entry.view, entry.feature] = entry
    return found


def last_measured(
    lake: Lake, meanings: Mapping[str, str], *, since: datetime, until: datetime
) -> list[FeatureStatistics]:
    """Of each view the statistics of its last build between two instants, both included.

    Args:
        meanings: definition hash by view; statistics of others are passed over.
    """
    wanted, found = dict(meanings), list[FeatureStatistics]()
    end = until.astimezone(UTC)
    while wanted and end >= since:
        start = max(datetime.combine(end.date(), time.min, UTC), since)
        of_day = [
            entry
            for entry in read_statistics(lake, wanted, since=start, until=end, measured="build")
            if entry.meaning == wanted[entry.view]
        ]
        last = {entry.view: entry.as_of for entry in of_day}  # the oldest come first
        found += [entry for entry in of_day if entry.as_of == last[entry.view]]
        wanted = {view: meaning for view, meaning in wanted.items() if view not in last}
        end = start - timedelta(microseconds=1)
    return found
