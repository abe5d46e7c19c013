"""Statistics of served values by the hour, and a log that is kept as long as it is told to.

The oracle is Python's own arithmetic over the values that the lines were made of.
"""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_specs.catalog import Column, Feature
from feature_specs.instants import epoch_us
from feature_specs.sql_types import parse_type
from feature_specs.view_entry import Role
from lakehouse.lake import load_table, open_lake
from lakehouse.plans import plan_folder
from lakehouse.statistics import FeatureStatistics, read_statistics
from lakehouse.statistics.measure_views import measure_project
from serving.served.commit_spool import SERVED, commit_spool
from serving.served.forget_days import forget_days
from serving.served.measure_served import measure_served
from serving.served.read_log import read_log
from tests.serving.project import Project, carriers, instant, make_view
from tests.serving.stored_rows import encode_value

TYPES = {
    "n": "BIGINT",
    "delay": "DOUBLE",
    "word": "VARCHAR",
    "late": "BOOLEAN",
    "seen": "TIMESTAMP WITH TIME ZONE",
    "legs": "BIGINT[]",
}
ALIASES = {"count": "n"}
HOUR = timedelta(hours=1)
Vector = dict[str, Any]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    stored = tuple(Column(name, kind) for name, kind in TYPES.items())
    features = tuple(Feature(name, kind) for name, kind in TYPES.items())
    made.add(
        make_view(
            "delays",
            stored=stored,
            features=features,
            aliases=(Feature("count", "BIGINT", alias_of="n"),),
            definition_hash="meaning",
        )
    )
    role = Role("delays", {"carrier": "partner"})
    made.catalog = replace(made.catalog, roles={"partner": role})
    return made


def log(
    project: Project,
    at: datetime,
    vectors: list[Vector],
    *,
    name: str = "delays",
    meaning: str = "meaning",
    status: str = "PRESENT",
) -> None:
    """Commit a spool of answers at an instant, as a server writes them."""
    folder = project.folder / "spool"
    folder.mkdir(exist_ok=True)
    lines = []
    for vector in vectors:
        values = [
            encode_value(parse_type(TYPES[ALIASES.get(n, n)]), value) for n, value in vector.items()
        ]
        view = {
            "view": name, "meaning": meaning, "loaded": epoch_us(at), "key": ["AA"], "hash": None,
            "status": status, "features": list(vector), "values": values, "request": None,
        }  # fmt: skip
        lines.append(json.dumps({"at": epoch_us(at), "service": None, "views": [view]}))
    (folder / f"{random.getrandbits(60):019d}-x.jsonl").write_text("\n".join([*lines, ""]))
    assert commit_spool(open_lake(project.catalog.lake), folder).vectors == len(vectors)


def drawn(draw: random.Random, count: int) -> list[Vector]:
    return [
        {
            "n": draw.choice([None, 0, 1, 2, 2**60]),
            "delay": draw.choice([None, -1.5, 0.25, float("nan"), 1e9]),
            "word": draw.choice([None, "", 'ü"\\\n', "null", "b"]),
            "late": draw.choice([None, True, False]),
            "seen": draw.choice([None, instant("07-01T08:00"), instant("07-01T08:30")]),
            "legs": draw.choice([None, [], [1, 2]]),
        }
        for _ in range(count)
    ]


def check(entry: FeatureStatistics, values: list[Any]) -> None:
    """Hold statistics to the values that they are of."""
    known = [v for v in values if v is not None]
    nans = [v for v in known if v != v]
    assert (entry.rows, entry.nulls, entry.nans) == (
        len(values),
        len(values) - len(known),
        len(nans),
    )
    if entry.kind == "number":
        numbers = [float(v) for v in known if v == v]
        assert entry.mean == pytest.approx(statistics.fmean(numbers))
        assert (entry.quantiles[0], entry.quantiles[-1]) == (min(numbers), max(numbers))
    if entry.kind == "category":
        texts = [str(v).lower() if isinstance(v, bool) else v for v in known]
        assert dict(entry.top) == {text: texts.count(text) for text in set(texts)}
    if entry.kind == "time":
        assert (entry.least, entry.greatest) == (
            min(known).timestamp(),
            max(known).timestamp(),
        )


def test_each_hour_that_is_over_is_measured_once(project: Project) -> None:
    draw = random.Random(18)
    start = instant("07-01T10:00")
    first, second = drawn(draw, 200), drawn(draw, 150)
    few = [{"n": 5} for _ in range(30)]  # of a service that asks for one feature alone
    log(project, start, first)
    log(project, start + HOUR - timedelta(microseconds=1), few)
    log(project, start + HOUR, second)
    # None of this counts: another definition, and what the store did not give in time.
    log(project, start, [{"n": 9}], meaning="another")
    log(project, start, [{"n": None}], status="UNAVAILABLE")
    log(project, start, [{"n": 4}, {"n": None}], name="partner")
    assert measure_served(project.catalog, start + HOUR / 2) == []

    measure_served(project.catalog, start + HOUR + HOUR / 2)
    lake = open_lake(project.catalog.lake)
    kept = read_statistics(lake, measured="served")
    assert {e.as_of.astimezone(UTC) for e in kept} == {start + HOUR}
    found = {(e.source, e.feature): e for e in kept}
    assert set(found) == {("served", name) for name in TYPES} | {("served as partner", "n")}
    for name in TYPES:
        check(found["served", name], [v[name] for v in [*first, *few] if name in v])
    check(found["served as partner", "n"], [4, None])
    days = load_table(lake, "forebay.feature_statistics")
    assert [field.name for field in days.spec().fields] == ["day"]

    # The next hour; and of the first one, into which more has come, what there is now.
    late = [{"n": 7, "word": "late"}]
    log(project, start, late)
    new = measure_served(project.catalog, start + 2 * HOUR)
    assert {(e.as_of.astimezone(UTC)) for e in new} == {start + HOUR, start + 2 * HOUR}
    last = {(e.as_of.astimezone(UTC), e.feature): e for e in new}
    check(last[start + HOUR, "n"], [v["n"] for v in [*first, *few, *late]])
    check(last[start + 2 * HOUR, "delay"], [v["delay"] for v in second])
    assert measure_served(project.catalog, start + 2 * HOUR + HOUR / 2) == []


def test_what_is_asked_by_an_alias_is_of_the_feature(project: Project) -> None:
    start = instant("07-01T10:00")
    log(project, start, [{"n": 1, "word": "a"}, {"count": 2}, {"word": "b", "count": None}])
    log(project, start, [{"count": 4, "n": 4, "word": "c"}])
    found = {e.feature: e for e in measure_served(project.catalog, start + HOUR)}
    assert set(found) == {"n", "word"}
    check(found["n"], [1, 2, None, 4])
    check(found["word"], ["a", "b", "c"])
    # What comes later by the other name is looked at again; nothing is, where nothing came.
    assert measure_served(project.catalog, start + HOUR) == []
    log(project, start, [{"count": 7}])
    again = {e.feature: e for e in measure_served(project.catalog, start + HOUR)}
    check(again["n"], [1, 2, None, 4, 7])


def test_served_values_are_counted_into_the_bins_of_the_first_build(project: Project) -> None:
    view = replace(
        make_view("delays", definition_hash="meaning"),
    )
    project.add(view)
    folder = plan_folder(project.folder, "delays")
    folder.mkdir(parents=True)
    (folder / "features.sql").write_text("select carrier, n, delay from forebay_stored")
    project.build(view, carriers({f"c{n}": (n, 1.0) for n in range(100)}), instant("07-01T08:00"))
    (built,) = [e for e in measure_project(project.catalog, project.folder) if e.feature == "n"]
    log(project, instant("07-01T09:00"), [{"n": n} for n in (0, 5, 99, 10**6, None)])
    (served,) = measure_served(project.catalog, instant("07-01T10:00"))
    assert served.bins == built.bins
    assert served.counts == (2, 0, 0, 0, 0, 0, 0, 0, 0, 2)


def test_days_that_are_older_than_is_kept_are_removed_whole(project: Project) -> None:
    lake = open_lake(project.catalog.lake)
    now = instant("07-10T12:00")
    assert forget_days(lake, now, timedelta(days=3)) == (0, instant("07-07T00:00").date())
    for number in range(5, 11):
        log(project, instant(f"07-{number:02}T23:59"), [{"n": number}, {"n": number}])
    before = load_table(lake, SERVED).metadata.snapshots
    assert forget_days(lake, now, timedelta(days=3), dry_run=True)[0] == 4
    assert load_table(lake, SERVED).metadata.snapshots == before
    assert forget_days(lake, now, timedelta(days=3))[0] == 4
    rows = read_log(lake, instant("07-01T00:00"), now + timedelta(days=1))["delays"]
    assert [row["at"].day for row in rows] == [n for n in range(7, 11) for _ in (0, 1)]
    snapshot = load_table(lake, SERVED).current_snapshot()
    assert snapshot is not None and snapshot.summary is not None
    assert snapshot.summary["deleted-data-files"] == "2", "files of those days, and none anew"
    assert "added-data-files" not in snapshot.summary.additional_properties
    assert forget_days(lake, now, timedelta(days=3))[0] == 0


def test_the_log_is_read_by_its_days_and_its_latest_rows(project: Project) -> None:
    lake = open_lake(project.catalog.lake)
    assert read_log(lake, instant("07-01T00:00"), instant("07-02T00:00")) == {}
    for day in (1, 2, 3):
        log(project, instant(f"07-{day:02}T12:00"), [{"n": day * 10 + k} for k in range(3)])
    log(project, instant("07-03T12:00"), [{"n": 1}], name="partner")
    since, until = instant("07-02T12:00"), instant("07-03T12:00")
    found = read_log(lake, since, until, most=4)
    values = [json.loads(row["values"][0]) for row in found["delays"]]
    assert len(values) == 4 and values[1:] == [30, 31, 32] and values[0] == 22
    assert len(found["partner"]) == 1 and found["partner"][0]["leaves"] is None
    assert set(read_log(lake, since, until, views=["partner"])) == {"partner"}
