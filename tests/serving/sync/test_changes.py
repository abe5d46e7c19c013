"""Changes are read by position in the log: whatever was built in between, the store equals the table."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.instants import epoch_us
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.lake import STATE_PROPERTY, FeatureState, load_table, open_lake
from serving.stores import StoredView, open_store
from serving.sync import SyncReport, changes, sync
from serving.verify import verify
from tests.lakehouse.builds import Build
from tests.serving.project import Project, carriers, history, instant, make_view

pytestmark = pytest.mark.slow

DAY1, DAY2, DAY3 = instant("06-01T00:00"), instant("06-02T00:00"), instant("06-03T00:00")
Rows = dict[str | None, tuple[int | None, float | None]]


@pytest.fixture
def view(project: Project) -> ViewEntry:
    made = make_view("delays")
    project.add(made)
    return made


def build(project: Project, view: ViewEntry, rows: Rows, at: datetime, changed: Rows) -> None:
    """Build the rows, with ``changed`` as a commit of the log; those not among ``rows`` are gone."""
    log = history(carriers(changed), [at] * len(changed), [key not in rows for key in changed])
    project.build(view, carriers(rows), at, changes=log)


def synced(project: Project) -> SyncReport:
    """Sync, and see that the store then holds what the table holds."""
    (report,) = sync(project.catalog)
    (verified,) = verify(project.catalog)
    assert verified.equal, verified.examples
    assert report.rows == verified.online_rows
    return report


def test_two_builds_at_one_instant_are_two_changes(project: Project, view: ViewEntry) -> None:
    """The second one's rows have the instant that the store already stands at."""
    first: Rows = {"AA": (1, 1.0), "B6": (1, 1.0)}
    build(project, view, first, DAY1, first)
    assert synced(project).action == "replaced"
    build(project, view, {"AA": (2, 1.0), "B6": (1, 1.0)}, DAY1, {"AA": (2, 1.0)})
    build(project, view, {"AA": (2, 1.0), "B6": (3, 1.0)}, DAY2, {"B6": (3, 1.0)})
    report = synced(project)
    assert (report.action, report.written) == ("changed", 2)


def test_an_earlier_instant_between(project: Project, view: ViewEntry) -> None:
    rows: Rows = {"AA": (1, 1.0), "B6": (1, 1.0)}
    build(project, view, rows, DAY2, rows)
    synced(project)
    build(project, view, {"AA": (1, 1.0), "B6": (5, 1.0)}, DAY1, {"B6": (5, 1.0)})
    build(project, view, {"B6": (5, 1.0)}, DAY3, {"AA": (None, None)})
    report = synced(project)
    assert (report.action, report.written, report.deleted) == ("changed", 1, 1)


def test_the_last_commit_of_a_key_counts(project: Project, view: ViewEntry) -> None:
    rows: Rows = {"AA": (1, 1.0)}
    build(project, view, rows, DAY1, rows)
    synced(project)
    # The later commit has the earlier instant.
    build(project, view, {}, DAY3, {"AA": (None, None)})
    build(project, view, {"AA": (7, 1.0)}, DAY2, {"AA": (7, 1.0)})
    assert synced(project).written == 1


def test_two_rows_of_a_key_in_one_commit_replace_everything(
    project: Project, view: ViewEntry
) -> None:
    rows: Rows = {"AA": (1, 1.0), "B6": (1, 1.0)}
    build(project, view, rows, DAY1, rows)
    synced(project)
    log = pa.concat_tables([history(carriers({"AA": (n, 1.0)}), [DAY2], [False]) for n in (8, 9)])
    project.build(view, carriers({"AA": (9, 1.0), "B6": (1, 1.0)}), DAY2, changes=log)
    assert synced(project).action == "replaced"


def test_many_changes_replace_everything(
    project: Project, view: ViewEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: Rows = dict.fromkeys("abcdef", (1, 1.0))
    build(project, view, rows, DAY1, rows)
    synced(project)
    monkeypatch.setattr(changes, "_FEW", 1)
    changed: Rows = dict.fromkeys("ab", (2, 2.0))
    build(project, view, rows | changed, DAY2, changed)
    assert synced(project).action == "changed"
    changed = dict.fromkeys("abc", (3, 3.0))
    build(project, view, rows | changed, DAY3, changed)
    assert synced(project).action == "replaced"


def test_a_log_that_forgot_where_the_store_stands(project: Project, view: ViewEntry) -> None:
    rows: Rows = {"AA": (1, 1.0), "B6": (1, 1.0)}
    build(project, view, rows, DAY1, rows)
    synced(project)
    log = load_table(open_lake(project.catalog.lake), view.history_table)
    old = log.current_snapshot()
    assert old is not None
    build(project, view, {"AA": (2, 1.0), "B6": (1, 1.0)}, DAY2, {"AA": (2, 1.0)})
    log.refresh().maintenance.expire_snapshots().by_id(old.snapshot_id).commit()
    assert synced(project).action == "replaced"
    build(project, view, {"AA": (3, 1.0), "B6": (1, 1.0)}, DAY3, {"AA": (3, 1.0)})
    assert synced(project).action == "changed"


def test_a_build_that_stopped_between_log_and_table(project: Project, view: ViewEntry) -> None:
    """The store follows the table, and is right again once the next build has mended it."""
    rows: Rows = {"AA": (1, 1.0), "B6": (1, 1.0)}
    build(project, view, rows, DAY1, rows)
    log = load_table(open_lake(project.catalog.lake), view.history_table)
    with log.transaction() as transaction:
        transaction.append(history(carriers({"AA": (2, 1.0)}), [DAY2], [False]))
        state = FeatureState(epoch_us(DAY2), view.semantic_hash)
        transaction.set_properties({STATE_PROPERTY: state.dumps()})
    assert synced(project).action == "replaced"
    assert synced(project).action == "unchanged"
    build(project, view, {"AA": (2, 1.0), "B6": (4, 1.0)}, DAY3, {"B6": (4, 1.0)})
    assert synced(project).action == "replaced"
    build(project, view, {"AA": (2, 1.0)}, DAY3, {"B6": (None, None)})
    assert synced(project).action == "changed"


def test_the_store_before_the_log_began(project: Project, view: ViewEntry) -> None:
    project.build(view, carriers({}), DAY1, changes=history(carriers({}), [], []))
    synced(project)
    rows: Rows = {"AA": (1, 1.0)}
    build(project, view, rows, DAY2, rows)
    assert synced(project).written == 1


EVENTS = Leaf(
    "events",
    {"k": "VARCHAR", "ts": "TIMESTAMP WITH TIME ZONE", "amount": "DECIMAL(12,2)"},
    event_time="ts",
)
SQL = """select k, count(*) as n, sum(amount) as total, max(amount)::double as most from events
where ts > current_timestamp - interval '2' hour group by k"""
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_builds_and_syncs(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    made = Build(tmp_path, FeatureView(name="v", sql=SQL, entities=("k",), file="v.sql"), [EVENTS])
    catalog = Catalog(
        project="test",
        lake={"name": "lake", "uri": f"sqlite:///{tmp_path}/catalog.db"}
        | {"warehouse": str(tmp_path / "warehouse")},
        online=f"lmdb://{tmp_path}/online.lmdb",
        views={"v": made.entry},
    )
    done: list[str] = []
    for step in range(12):
        minutes = 15 * step + drawn.choice([-60, -15, 0, 0, 0])
        if drawn.random() < 0.7:
            at = START + timedelta(minutes=drawn.randint(0, 15 * step))
            keys = drawn.choices("abcdefgh", k=drawn.randint(1, 4))
            made.append(EVENTS, [(key, at, drawn.randint(1, 99)) for key in keys])
        made.advance(START + timedelta(minutes=max(0, minutes)))
        if drawn.random() < 0.6:
            (report,) = sync(catalog)
            (verified,) = verify(catalog)
            assert report.error is None and verified.equal, verified.examples
            assert report.rows == verified.online_rows
            done.append(report.action)
    assert "changed" in done


def test_a_failing_change_leaves_the_store(project: Project) -> None:
    view = make_view("last", event_time="seen_at", stored=())
    project.add(view)
    rows = pa.table({"carrier": ["AA"], "seen_at": pa.array([DAY1], pa.timestamp("us", "UTC"))})
    project.build(view, rows, DAY1, changes=history(rows, [DAY1], [False]))
    sync(project.catalog)
    none = pa.array([None], pa.timestamp("us", "UTC"))
    rows = pa.table({"carrier": ["AA"], "seen_at": none})
    project.build(view, rows, DAY2, changes=history(rows, [DAY2], [False]))
    (report,) = sync(project.catalog)
    assert report.action == "failed" and "has no seen_at" in str(report.error)
    store = open_store(project.catalog.online, readonly=True)
    assert list(store.items(StoredView.of(view))) == [(b"AA", b"2013-06-01T00:00:00")]
    store.close()
