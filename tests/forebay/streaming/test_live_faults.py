"""A store, a catalog or files that are away, and a clock that goes back: the views wait and go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from feature_specs.instants import from_epoch_us
from feature_specs.retention import Retention
from forebay.streaming.complaints import Complaints
from forebay.streaming.stream_views import StreamViews
from lakehouse.lake import load_table
from lakehouse.maintain.remove_old_rows import cutoff, remove_old_rows
from lakehouse.stream.live_leaves import LiveLeaves
from serving.state import load_state
from serving.stores import OnlineStore, StoreDownError, StoredView, open_store
from tests.forebay.streaming.test_live_law import Live

pytestmark = pytest.mark.slow


class Outage:
    """A store or a lake that is away while ``away`` is set; counts what it was asked."""

    def __init__(self, inner: Any, error: Exception) -> None:
        self._inner, self._error, self.away, self.asked = inner, error, False, 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        if self.away and name != "close":
            raise self._error
        return getattr(self._inner, name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One project for all of these, since each leaves it as the law wants it."""
    live = Live(tmp_path_factory.mktemp("live"), 5)
    yield live
    live.views.close()


@pytest.fixture
def live(made: Live) -> Live:
    """Its views start anew."""
    made.views.close()
    over = made.views.views
    project, complain = made.views.project, made.complaints.append
    made.complaints.clear()
    made.now += timedelta(minutes=1)
    made.views = StreamViews(
        project, made.catalog, over, lambda: made.now, 1e9, Complaints(complain)
    )
    return made


def _with_store(live: Live) -> Outage:
    store: OnlineStore = open_store(live.catalog.online)
    outage = Outage(store, StoreDownError("the store does not answer", where="store", hint="wait"))
    live.views._store = outage
    return outage


def _pass_time(live: Live) -> None:
    live.now += timedelta(minutes=5)
    live.add(4)
    live.views.follow({}, True)


def test_a_store_that_goes_away_while_views_start_over_is_waited_for(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _with_store(live)
    live.follow()
    # Somebody else has written it, so that the next round starts over; and then it goes away.
    for view in live.catalog.views.values():
        store.drop(StoredView.of(view))
    reads: list[int] = []
    read = LiveLeaves.__init__

    def counted(self: LiveLeaves, *given: Any) -> None:
        reads.append(1)
        read(self, *given)

    monkeypatch.setattr(LiveLeaves, "__init__", counted)
    store.away = True
    for _ in range(3):
        _pass_time(live)
    assert [c.partition(":")[0] for c in live.complaints] == ["features"]  # told once
    assert not reads, "the lake was read for a store that is away"
    store.away = False
    live.complaints.clear()
    _pass_time(live)
    assert reads == [1] and not live.complaints
    live.check()


def test_a_lake_that_goes_away_while_views_start_over_is_waited_for(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.follow()
    lake = Outage(live.lake, sqlite3.OperationalError("database is locked"))
    monkeypatch.setattr("forebay.streaming.stream_views.open_lake", lambda config: lake)
    live.views.follow({}, False)
    lake.away = True
    for _ in range(2):
        _pass_time(live)
    assert len(live.complaints) == 1 and "locked" in live.complaints[0]
    lake.away = False
    live.complaints.clear()
    _pass_time(live)
    assert not live.complaints
    live.check()


def test_rows_that_came_half_are_not_counted_twice(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two tables one is taken, and the other's file cannot be read: neither is counted twice."""
    live.follow()
    add = LiveLeaves._add
    failed: list[int] = []

    def breaks(self: LiveLeaves, held: Any, select: str) -> None:
        add(self, held, select)
        if not failed:
            failed.append(1)
            raise duckdb.IOException("the object store does not answer")

    monkeypatch.setattr(LiveLeaves, "_add", breaks)
    live.add_tier("z", 5)
    _pass_time(live)
    assert failed and not live.complaints
    live.check()
    _pass_time(live)
    live.check()


def test_a_clock_that_goes_back_takes_no_feature_back(live: Live) -> None:
    live.follow()
    before = live.views.at
    live.now -= timedelta(hours=7)
    live.add(10)
    live.follow()
    assert live.views.at == before
    live.check()
    # A process that starts while it is back computes what the law gives for its own T.
    live.views.close()
    live.views.at = None
    live.follow()
    live.check()
    live.now += timedelta(days=1)
    _pass_time(live)
    assert not live.complaints
    live.check()


def test_views_that_need_rows_which_went_stay_as_they_are_until_they_no_longer_do(
    tmp_path: Path,
) -> None:
    live = Live(tmp_path, 3)
    live.follow()
    live.check()
    before = _online(live)
    by_both = Retention(("paid_at", "landed_at"), 2 * 86_400_000_000)
    # As by a clock that is ahead: what is older than now is gone, and two views go back a day or two.
    ahead = live.now + timedelta(days=2)
    live.now += timedelta(hours=2)
    held = load_table(live.lake, "raw.orders").scan().to_arrow()
    assert remove_old_rows(live.lake, "raw.orders", by_both, ahead) > 0
    since = pa.scalar(cutoff(by_both, ahead), pa.timestamp("us", tz="UTC"))
    old = (pc.less(held[time], since) for time in by_both.columns)
    gone = held.filter(reduce(pc.and_, old))
    live.add(20)
    live.views.follow({}, True)
    assert sorted(c.partition(":")[0] for c in live.complaints) == sorted(live.catalog.views)
    assert all("that retention has removed" in c for c in live.complaints if "reads all" not in c)
    assert _online(live) == before
    live.complaints.clear()
    live.now += timedelta(days=1)
    live.add(20)
    live.views.follow({}, True)
    _check_bounded(live, before, gone, {"shops"})
    live.now += timedelta(days=1)
    for _ in range(2):
        live.add(20)
        live.views.follow({}, True)
        _check_bounded(live, before, gone, {"shops", "spending"})
        live.now += timedelta(hours=5)
    assert not live.complaints
    live.views.close()


Rows = dict[str, tuple[bytes | None, dict[bytes, bytes]]]


def _online(live: Live) -> Rows:
    """The state and rows of each view."""
    store = open_store(live.catalog.online, readonly=True)
    try:
        stored = {v.name: StoredView.of(v) for v in live.catalog.views.values()}
        return {n: (store.get_state(s), dict(store.items(s))) for n, s in stored.items()}
    finally:
        store.close()


def _check_bounded(live: Live, before: Rows, gone: pa.Table, present: set[str]) -> None:
    """Some views are F(D, T) of the stream's T over all orders ever, the others as they were."""
    for name, (raw, rows) in _online(live).items():
        if name not in present:
            assert (raw, rows) == before[name]
            continue
        state = load_state(raw)
        assert state is not None and state.leaves is not None
        assert from_epoch_us(state.at) == live.now
        assert rows == live.brute(live.catalog.view(name), state.leaves, live.now, gone), name
