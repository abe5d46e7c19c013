"""Every build leaves statistics of its features, by day, in the bins that the first one froze."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.catalog import Catalog
from lakehouse.lake import load_table, open_lake
from lakehouse.local_path import local_path
from lakehouse.scan import pin
from lakehouse.statistics import latest_statistics, read_baselines, read_statistics
from lakehouse.statistics.keep_statistics import BASELINES, STATISTICS
from lakehouse.statistics.measure_views import measure_project
from tests.serving.project import Project, carriers, instant, make_view

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def build(project: Project, at: datetime, rows: pa.Table) -> None:
    project.build(project.catalog.view("delays"), rows, at)


def test_each_build_once_and_its_bins_stay(project: Project) -> None:
    first, second = instant("07-01T08:00"), instant("07-02T08:00")
    build(project, first, carriers({f"c{n}": (n, n / 2) for n in range(100)}))
    measured = measure_project(project.catalog, project.folder)
    assert {e.feature for e in measured} == {"n", "delay"}
    assert measure_project(project.catalog, project.folder) == []
    build(project, second, carriers({f"c{n}": (n + 50, None) for n in range(100)}))
    measure_project(project.catalog, project.folder)
    lake = open_lake(project.catalog.lake)
    before, after = [e for e in read_statistics(lake, ["delays"]) if e.feature == "n"]
    assert (before.as_of, after.as_of) == (first, second)
    assert before.bins == after.bins and before.counts == (10,) * 10
    assert after.counts == (0, 0, 0, 0, 0, 10, 10, 10, 10, 60)
    assert (after.rows, after.nulls, after.null_rate) == (100, 0, 0.0)
    latest = latest_statistics(project.catalog)["delays", "delay"]
    assert (latest.null_rate, latest.mean, sum(latest.counts)) == (1.0, None, 0)
    assert {(b.feature, b.as_of) for b in read_baselines(lake)} == {("n", first), ("delay", first)}


def test_another_meaning_has_bins_of_its_own(project: Project) -> None:
    build(project, instant("07-01T08:00"), carriers({f"c{n}": (n, 1.0) for n in range(100)}))
    measure_project(project.catalog, project.folder)
    view = project.catalog.view("delays")
    project.add(make_view("delays", definition_hash="meaning2", features=view.features))
    build(project, instant("07-02T08:00"), carriers({f"c{n}": (n * 9, 1.0) for n in range(100)}))
    measure_project(project.catalog, project.folder)
    latest = latest_statistics(project.catalog)["delays", "n"]
    assert latest.meaning == "meaning2" and latest.counts == (10,) * 10


def test_a_feature_that_had_no_value_freezes_its_bins_later(project: Project) -> None:
    build(project, instant("07-01T08:00"), carriers({"AA": (1, None), "B6": (2, None)}))
    measure_project(project.catalog, project.folder)
    lake = open_lake(project.catalog.lake)
    assert [b.feature for b in read_baselines(lake)] == ["n"]
    build(project, instant("07-02T08:00"), carriers({"AA": (1, 3.5), "B6": (2, 4.5)}))
    measure_project(project.catalog, project.folder)
    assert [b.feature for b in read_baselines(lake)] == ["n", "delay"]


def test_the_table_is_partitioned_by_day_and_only_the_days_asked_for_are_read(
    project: Project,
) -> None:
    start = instant("07-01T23:30")
    for day in range(3):
        build(project, start + day * DAY, carriers({"AA": (day, 1.0)}))
        measure_project(project.catalog, project.folder)
    lake = open_lake(project.catalog.lake)
    table = load_table(lake, STATISTICS)
    assert [f.name for f in table.spec().fields] == ["day"]
    assert len(pin(table).files) == 3
    found = read_statistics(lake, since=start + DAY, until=start + DAY)
    assert {e.as_of.astimezone(UTC) for e in found} == {start + DAY}
    scan = table.scan(row_filter="day = '2013-07-02'")
    assert len(list(scan.plan_files())) == 1


def test_the_last_statistics_are_read_without_the_days_before(project: Project) -> None:
    """Files of earlier days are gone here: whatever reads them fails."""
    start = instant("07-01T23:30")
    for day in range(3):
        build(project, start + day * DAY, carriers({"AA": (day, 1.0), "B6": (None, 2.0)}))
        measure_project(project.catalog, project.folder)
    lake = open_lake(project.catalog.lake)
    scan = load_table(lake, STATISTICS).scan(row_filter="day < '2013-07-03'")
    for task in scan.plan_files():
        Path(local_path(task.file.file_path)).unlink()
    with pytest.raises(FileNotFoundError):
        read_statistics(lake)
    latest = latest_statistics(project.catalog)
    assert {named: (e.as_of, e.null_rate, e.mean) for named, e in latest.items()} == {
        ("delays", "n"): (start + 2 * DAY, 0.5, 2.0),
        ("delays", "delay"): (start + 2 * DAY, 0.0, 1.5),
    }
    build(project, start + 2 * DAY + HOUR, carriers({"AA": (7, 1.0)}))
    assert {e.feature for e in measure_project(project.catalog, project.folder)} == {"n", "delay"}

    # A build that nobody measured is stood in for by the last one that was; a feature that is no
    # more has no statistics.
    build(project, start + 2 * DAY + 2 * HOUR, carriers({"AA": (8, 1.0)}))
    view = project.catalog.view("delays")
    project.add(replace(view, features=view.features[:1]))
    latest = latest_statistics(project.catalog)
    assert [(named, e.mean) for named, e in latest.items()] == [(("delays", "n"), 7.0)]


def test_nothing_is_written_of_a_project_without_tables(project: Project) -> None:
    empty = Catalog("test", project.catalog.lake, "")
    assert measure_project(empty, project.folder) == []
    assert measure_project(project.catalog, project.folder) == []  # not built yet
    lake = open_lake(project.catalog.lake)
    assert not lake.namespace_exists("forebay")
    assert read_statistics(lake) == read_baselines(lake) == []
    assert BASELINES.startswith("forebay.")
