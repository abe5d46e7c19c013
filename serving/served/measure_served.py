"""Statistics of what was served, hour by hour, out of the log of served vectors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from lakehouse.lake import open_lake
from lakehouse.relations import tune
from lakehouse.statistics.feature_statistics import (
    Bins,
    FeatureStatistics,
    kind_of,
    source_in_role,
)
from lakehouse.statistics.keep_statistics import (
    keep_statistics,
    read_baselines,
    read_statistics,
)
from lakehouse.statistics.measure_columns import Measure, measure_columns
from serving.lookup.read import UNAVAILABLE
from serving.served.logged_values import fragment_sql, has_sql, value_sql
from serving.served.read_log import log_sql

#: The name of what was measured.
SOURCE = "served"
#: Hours that ended so long ago are not looked at again.
_BACK = timedelta(days=2)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class _Hour:
    """The answers of one view or role in one hour, by the view's present definition.

    Attributes:
        asked: in how many of them each feature was, by the feature's own name.
        names: of each feature, those by which it was asked for.
    """

    name: str
    end: datetime
    rows: int
    asked: Mapping[str, int]
    names: Mapping[str, Sequence[str]]


def measure_served(catalog: Catalog, now: datetime) -> list[FeatureStatistics]:
    """Measure the hours that are over, and keep their statistics; returns what is new.

    An hour of which more has come into the log since is measured anew, and its later entry takes the
    earlier one's place. Values are counted into the bins that the view's first build froze.

    Raises:
        ForebayError: the log cannot be read, or the statistics cannot be written.
    """
    lake = open_lake(catalog.lake)
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    since = (end - _BACK).replace(hour=0)
    sql = log_sql(lake, since, end - timedelta(microseconds=1))
    if sql is None:
        return []
    known: dict[tuple[str, str, datetime], dict[str, int]] = defaultdict(dict)
    for entry in read_statistics(lake, since=since, until=end, measured="served"):
        known[entry.view, entry.source, entry.as_of][entry.feature] = entry.rows
    meanings = {view.definition_hash for view in catalog.views.values()}
    frozen = read_baselines(lake, measured="build", meanings=meanings)
    found: list[FeatureStatistics] = []
    with duckdb.connect() as connection:
        tune(connection)
        connection.execute(
            f"create temp table served as select *, date_trunc('hour', \"at\") as hour from ({sql}) "
            f"where status <> {literal(UNAVAILABLE)}"
        )
        for hour in _hours(connection, catalog):
            behind = catalog.view_behind(hour.name)
            source = source_in_role(SOURCE, None if hour.name == behind else hour.name)
            before = known[behind, source, hour.end]
            if all(rows <= before.get(name, 0) for name, rows in hour.asked.items()):
                continue
            bins = {b.feature: b.bins for b in frozen if b.view == behind and b.bins is not None}
            view = catalog.readable[hour.name]
            for name, measure in _measure(connection, view, hour, bins):
                found.append(_statistics(view, behind, source, name, hour, measure))
    keep_statistics(lake, found)
    return found


def _hours(connection: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[_Hour]:
    counted = connection.execute(
        "select view, meaning, hour, list((features, times)) from "
        "(select view, meaning, hour, features, count(*) as times from served group by all) "
        "group by view, meaning, hour order by hour, view"
    ).fetchall()
    readable = catalog.readable
    for name, meaning, start, shapes in counted:
        view = readable.get(name)
        if view is None or view.definition_hash != meaning:
            continue
        own = {fold_name(feature.name): feature.own_name for feature in view.names}
        asked: Counter[str] = Counter()
        names: dict[str, set[str]] = defaultdict(set)
        for features, times in shapes:
            known = {each: own[fold_name(each)] for each in features if fold_name(each) in own}
            for each, feature in known.items():
                names[feature].add(each)
            # A feature may be asked for by two of its names at once.
            asked.update(dict.fromkeys(known.values(), times))
        yield _Hour(
            name,
            start.astimezone(UTC) + _HOUR,
            sum(times for _, times in shapes),
            dict(sorted(asked.items())),
            {each: sorted(found) for each, found in names.items()},
        )


def _measure(
    connection: duckdb.DuckDBPyConnection, view: ViewEntry, hour: _Hour, bins: Mapping[str, Bins]
) -> Iterator[tuple[str, Measure]]:
    """The statistics of each feature that was asked for, over the rows in which it was."""
    mine = (
        f"select * from served where view = {literal(view.name)} "
        f"and meaning = {literal(view.definition_hash)} "
        f"and hour = {literal((hour.end - _HOUR).isoformat())}::timestamptz"
    )
    types = {name: view.feature(name).type for name in hour.asked}
    by_count: dict[int, list[str]] = {}
    for name, count in hour.asked.items():
        # Those that were in every row are measured together, the others each by itself.
        by_count.setdefault(0 if count == hour.rows else len(by_count) + 1, []).append(name)
    for names in by_count.values():
        columns = {name: types[name] for name in names}
        measures = measure_columns(
            connection,
            f"({_relation(mine, {n: hour.names[n] for n in names}, types)})",
            ("file", "line"),
            columns,
            bins,
        )
        yield from measures.items()


def _relation(rows: str, names: Mapping[str, Sequence[str]], types: Mapping[str, str]) -> str:
    """A SELECT of the features' values, out of the JSON that was answered.

    Args:
        names: of each feature, those by which it was asked for.
    """
    values = []
    for name, spelled in names.items():
        text = fragment_sql(spelled)
        # Of lists, structs and blobs nulls alone are counted.
        plain = f"nullif({text}, 'null')"
        value = plain if kind_of(types[name]) == "other" else value_sql(text, types[name])
        values.append(f"{value} as {quoted(name)}")
    within = " and ".join(map(has_sql, names.values()))
    return f"select file, line, {', '.join(values)} from ({rows}) as answered where {within}"


def _statistics(
    view: ViewEntry, behind: str, source: str, feature: str, hour: _Hour, measure: Measure
) -> FeatureStatistics:
    return FeatureStatistics(
        view=behind,
        feature=feature,
        type=view.feature(feature).type,
        measured="served",
        source=source,
        meaning=view.definition_hash,
        as_of=hour.end,
        measured_at=datetime.now(UTC),
        snapshot=None,
        **vars(measure),
    )
