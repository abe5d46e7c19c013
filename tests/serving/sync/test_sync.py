"""Sync: what the store holds afterwards is what the lakehouse holds, by whichever way."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from feature_specs.catalog import Column, ViewEntry
from feature_specs.errors import UnknownNameError
from serving.stores import StoredView, open_store
from serving.sync import SyncReport, follow, sync
from serving.verify import verify
from tests.serving.project import TZ, UTC_US, Project, carriers, history, instant, make_view

DAY1, DAY2, DAY3 = instant("06-01T00:00"), instant("06-02T00:00"), instant("06-03T00:00")


def stored(project: Project, view: str) -> dict[bytes, bytes]:
    store = open_store(project.catalog.online, readonly=True)
    found = dict(store.items(StoredView.of(project.catalog.view(view))))
    store.close()
    return found


def one(project: Project, **options: Any) -> SyncReport:
    (report,) = sync(project.catalog, **options)
    return report


@pytest.fixture
def view(project: Project) -> ViewEntry:
    made = make_view("delays")
    project.add(made)
    return made


def test_the_first_sync_writes_everything(project: Project, view: ViewEntry) -> None:
    rows = carriers({"AA": (3, 1.5), "B6": (None, float("nan")), None: (9, 9.0)})
    project.build(view, rows, DAY1)
    seen: list[tuple[str, int, int]] = []
    report = one(project, progress=lambda *told: seen.append(told))
    assert (report.action, report.written, report.null_keys, report.rows) == ("replaced", 2, 1, 2)
    assert seen == [("delays", 2, 2)]
    assert stored(project, "delays") == {
        b"AA": b"\x003\x001.5",
        b"B6": b'\0null\0"NaN"',
    }
    assert one(project).action == "unchanged"


def test_only_the_changes_are_applied(project: Project, view: ViewEntry) -> None:
    first = carriers({"AA": (1, 1.0), "B6": (2, 2.0), "DL": (3, 3.0)})
    project.build(view, first, DAY1, changes=history(first, [DAY1] * 3, [False] * 3))
    assert one(project).action == "replaced"
    # AA changes twice, B6 goes, UA comes and goes, EV comes, and DL stays as it was.
    changed = pa.concat_tables(
        [
            history(carriers({"AA": (8, 8.0), "UA": (5, 5.0)}), [DAY2] * 2, [False] * 2),
            history(
                carriers({"AA": (9, 9.0), "EV": (6, None), "B6": (None, None), "UA": (5, 5.0)}),
                [DAY3] * 4,
                [False, False, True, True],
            ),
        ]
    )
    last = carriers({"AA": (9, 9.0), "DL": (3, 3.0), "EV": (6, None)})
    project.build(view, last, DAY3, changes=changed)
    expected = SyncReport("delays", "changed", 2, 1, 0, 3, instant_us(DAY3))
    assert one(project, dry_run=True) == expected
    assert one(project) == expected
    assert stored(project, "delays") == {
        b"AA": b"\x009\x009.0",
        b"DL": b"\x003\x003.0",
        b"EV": b"\x006\0null",
    }
    (verified,) = verify(project.catalog)
    assert verified.ok
    assert one(project).action == "unchanged"


def test_only_deletions_are_applied(project: Project, view: ViewEntry) -> None:
    first = carriers({"AA": (1, 1.0), "B6": (2, 2.0)})
    project.build(view, first, DAY1, changes=history(first, [DAY1] * 2, [False] * 2))
    one(project)
    gone = history(carriers({"B6": (None, None)}), [DAY2], [True])
    project.build(view, carriers({"AA": (1, 1.0)}), DAY2, changes=gone)
    assert one(project) == SyncReport("delays", "changed", 0, 1, 0, 1, instant_us(DAY2))
    assert stored(project, "delays") == {b"AA": b"\x001\x001.0"}


def test_without_a_history_everything_is_replaced(project: Project, view: ViewEntry) -> None:
    project.build(view, carriers({"AA": (1, 1.0), "B6": (2, 2.0)}), DAY1)
    one(project)
    project.build(view, carriers({"AA": (2, 2.0)}), DAY2)
    assert one(project).action == "replaced"
    assert list(stored(project, "delays")) == [b"AA"]


@pytest.mark.parametrize("at", [DAY1, DAY2])
def test_new_data_at_an_old_instant_is_applied(
    project: Project, view: ViewEntry, at: datetime
) -> None:
    """The log's commits say what is new, not the instants of its rows."""
    first = carriers({"AA": (1, 1.0)})
    project.build(view, first, DAY2, changes=history(first, [DAY2], [False]))
    one(project)
    second = carriers({"AA": (7, 7.0)})
    project.build(view, second, at, changes=history(second, [at], [False]))
    assert one(project).action == "changed"
    assert stored(project, "delays") == {b"AA": b"\x007\x007.0"}


def test_another_query_replaces(project: Project, view: ViewEntry) -> None:
    project.build(view, carriers({"AA": (1, 1.0)}), DAY1)
    one(project)
    changed = replace(view, semantic_hash="hash2")
    project.add(changed)
    report = one(project)
    assert report.action == "failed" and "run `forebay build`" in str(report.error)
    rows = carriers({"AA": (2, 2.0)})
    project.build(changed, rows, DAY2, changes=history(rows, [DAY2], [False]))
    assert one(project).action == "replaced"


def test_what_cannot_be_synced(project: Project, view: ViewEntry) -> None:
    assert "not built yet" in str(one(project).error)
    assert not (project.folder / "online.lmdb").exists()
    with pytest.raises(UnknownNameError, match="did you mean 'delays'"):
        sync(project.catalog, ["delay"])
    project.build(view, carriers({"AA": (1, 1.0)}).drop(["delay"]), DAY1)
    assert "no column 'delay'" in str(one(project).error)


def test_a_dry_run_writes_nothing(project: Project, view: ViewEntry) -> None:
    project.build(view, carriers({"AA": (1, 1.0)}), DAY1)
    report = one(project, dry_run=True)
    assert (report.action, report.rows) == ("replaced", 1)
    assert not (project.folder / "online.lmdb").exists()


def test_an_empty_table(project: Project, view: ViewEntry) -> None:
    project.build(view, carriers({}), DAY1)
    assert one(project).rows == 0
    assert one(project).action == "unchanged"
    assert verify(project.catalog)[0].ok


def test_a_history_view_keeps_its_event_time(project: Project) -> None:
    made = make_view("last", event_time="seen_at", stored=(Column("n", "BIGINT"),))
    project.add(made)
    rows = pa.table(
        {
            "carrier": ["AA", "B6"],
            "seen_at": pa.array([DAY1, instant("05-31T23:59:59.999999")], UTC_US),
            "n": pa.array([1, 2], pa.int64()),
        }
    )
    project.build(made, rows, DAY1)
    one(project)
    assert stored(project, "last") == {
        b"AA": b"2013-06-01T00:00:00\x001",
        b"B6": b"2013-05-31T23:59:59.999999\x002",
    }
    assert verify(project.catalog)[0].ok


def test_every_type_arrives(project: Project) -> None:
    types = {
        "i": ("INTEGER", pa.array([1, None], pa.int32())),
        "h": ("HUGEINT", pa.array([Decimal(10**30), None], pa.decimal128(38, 0))),
        "d": ("DECIMAL(9,2)", pa.array([Decimal("-1.50"), None], pa.decimal128(9, 2))),
        "f": ("FLOAT", pa.array([0.1, None], pa.float32())),
        "x": ("DOUBLE", pa.array([float("-inf"), None], pa.float64())),
        "b": ("BOOLEAN", pa.array([True, None])),
        "s": ("VARCHAR", pa.array(['Zürich "\0"', None])),
        "y": ("BLOB", pa.array([b"\0\xff", None], pa.large_binary())),
        "t": (TZ, pa.array([DAY1, None], UTC_US)),
        "n": ("TIMESTAMP", pa.array([datetime(999, 1, 1, 0, 0, 0, 5), None], pa.timestamp("us"))),
        "a": ("DATE", pa.array([date(2013, 7, 1), None])),
        "l": ("VARCHAR[]", pa.array([["a", None], None], pa.list_(pa.string()))),
        "r": (
            "STRUCT(p BIGINT, q DOUBLE)",
            pa.array([{"p": 1, "q": None}, None], pa.struct({"p": pa.int64(), "q": pa.float64()})),
        ),
    }
    made = make_view(
        "wide",
        entities=(Column("k", "BIGINT"), Column("day", "DATE")),
        stored=tuple(Column(name, kind) for name, (kind, _) in types.items()),
    )
    project.add(made)
    keys = {"k": pa.array([1, 2], pa.int64()), "day": pa.array([date(2013, 7, 1)] * 2)}
    project.build(made, pa.table({**keys, **{n: column for n, (_, column) in types.items()}}), DAY1)
    one(project)
    (report,) = verify(project.catalog)
    assert report.ok, report.examples
    assert report.values == 2 * len(types)
    assert set(report.non_null.values()) == {0.5}
    assert b"1\x002013-07-01" in stored(project, "wide")


def test_following_until_stopped(project: Project, view: ViewEntry) -> None:
    project.build(view, carriers({"AA": (1, 1.0)}), DAY1)
    stop = threading.Event()
    reports: list[SyncReport] = []

    def report(done: SyncReport) -> None:
        reports.append(done)
        if len(reports) == 1:
            project.build(view, carriers({"AA": (2, 2.0)}), DAY2)
        else:
            stop.set()

    follow(lambda: project.catalog, every=0.01, stop=stop, report=report)
    assert [r.at for r in reports] == [instant_us(DAY1), instant_us(DAY2)]


def instant_us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
