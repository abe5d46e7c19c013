"""Every build leaves statistics of its features, by day, in the bins that the first one froze."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from feature_specs.catalog import Catalog
from lakehouse.lake import load_table, open_lake
from lakehouse.scan import pin
from lakehouse.statistics import latest_statistics, read_baselines, read_statistics
from lakehouse.statistics.keep_statistics import BASELINES, STATISTICS
from lakehouse.statistics.measure_views import measure_project
from tests.serving.project import Project, carriers, instant, make_view

DAY = timedelta(days=1)


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
    latest = latest_statistics(lake)["delays", "delay"]
    assert (latest.null_rate, latest.mean, sum(latest.counts)) == (1.0, None, 0)
    assert {(b.feature, b.as_of) for b in read_baselines(lake)} == {("n", first), ("delay", first)}


def test_another_meaning_has_bins_of_its_own(project: Project) -> None:
    build(project, instant("07-01T08:00"), carriers({f"c{n}": (n, 1.0) for n in range(100)}))
    measure_project(project.catalog, project.folder)
    view = project.catalog.view("delays")
    project.add(make_view("delays", definition_hash="meaning2", features=view.features))
    build(project, instant("07-02T08:00"), carriers({f"c{n}": (n * 9, 1.0) for n in range(100)}))
    measure_project(project.catalog, project.folder)
    latest = latest_statistics(open_lake(project.catalog.lake))["delays", "n"]
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


def test_nothing_is_written_of_a_project_without_tables(project: Project) -> None:
    empty = Catalog("test", project.catalog.lake, "")
    assert measure_project(empty, project.folder) == []
    assert measure_project(project.catalog, project.folder) == []  # not built yet
    lake = open_lake(project.catalog.lake)
    assert not lake.namespace_exists("forebay")
    assert read_statistics(lake) == read_baselines(lake) == []
    assert BASELINES.startswith("forebay.")
