"""One view that fails is named with its reason; the others are synced, verified and followed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.instants import epoch_us
from forebay.__main__ import main
from lakehouse.lake import find_table, open_lake
from lakehouse.local_path import local_path
from serving.stores import OnlineStore, StoreDownError, StoredView, open_store
from serving.stores.lmdb import LmdbStore
from serving.sync import SyncReport, follow, sync
from serving.verify import verify
from tests.serving.project import Project, carriers, instant, make_view

NOW = "2013-07-01T12:00:00+00:00"
DAY1, DAY2 = instant("06-01T00:00"), instant("06-02T00:00")


@pytest.fixture
def three(project: Project) -> tuple[ViewEntry, ViewEntry, ViewEntry]:
    """Views of which the first is never built, the second has lost its files, the third is whole."""
    views = (make_view("unbuilt"), make_view("lost"), make_view("whole"))
    project.add(*views)
    for view in views[1:]:
        project.build(view, carriers({"AA": (1, 1.0), "B6": (2, 2.0)}), DAY1)
    lose(project, "features.lost")
    return views


def lose(project: Project, name: str) -> None:
    """Remove a table's data files behind Iceberg's back."""
    table = find_table(open_lake(project.catalog.lake), name)
    assert table is not None
    for task in table.scan().plan_files():
        Path(local_path(task.file.file_path)).unlink()


@pytest.mark.usefixtures("three")
def test_the_others_are_synced_and_verified(project: Project) -> None:
    unbuilt, lost, whole = sync(project.catalog)
    assert (unbuilt.action, lost.action, whole.action) == ("failed", "failed", "replaced")
    assert "is not built yet" in str(unbuilt.error) and "Hint: run `forebay build`" in str(
        unbuilt.error
    )
    assert ".parquet" in str(lost.error) and "a data file is missing" in str(lost.error)
    assert (whole.rows, whole.error) == (2, None)
    reports = verify(project.catalog)
    assert [r.ok for r in reports] == [False, False, True]
    assert [r.view for r in reports if r.error] == ["unbuilt", "lost"]
    assert reports[2].values == 4


def test_a_view_that_fails_keeps_what_is_online(project: Project) -> None:
    view = project.sync_delays(1, DAY1)
    project.build(view, carriers({"AA": (7, 7.0)}), DAY2)
    lose(project, "features.delays")
    assert sync(project.catalog)[0].action == "failed"
    store = open_store(project.catalog.online, readonly=True)
    assert dict(store.items(StoredView.of(project.catalog.view("delays")))) == {
        b"AA": b"\x001\x000.5"
    }
    store.close()


@pytest.mark.usefixtures("three")
def test_following_tells_each_failure_once_and_goes_on(project: Project) -> None:
    stop = threading.Event()
    told: list[SyncReport] = []

    def report(done: SyncReport) -> None:
        told.append(done)
        if done.view == "whole" and done.at == epoch_us(DAY1):
            project.build(make_view("unbuilt"), carriers({"AA": (1, 1.0)}), DAY1)
        elif done.view == "unbuilt" and done.error is None:
            project.build(make_view("whole"), carriers({"AA": (2, 2.0)}), DAY2)
        elif done.view == "whole":
            stop.set()

    follow(lambda: project.catalog, every=0.01, stop=stop, report=report)
    assert [(r.view, r.action) for r in told] == [
        ("unbuilt", "failed"),
        ("lost", "failed"),
        ("whole", "replaced"),
        ("unbuilt", "replaced"),
        ("whole", "replaced"),
    ]


@pytest.mark.usefixtures("three")
def test_the_commands_name_what_failed_and_exit_with_2(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_a_folder(project, monkeypatch)
    assert run("sync") == 2
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()[1:]] == [
        ["unbuilt", "failed"],
        ["lost", "failed"],
        ["whole", "replaced"],
    ]
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "'unbuilt'" in errors[0] and "a data file is missing" in errors[1]
    assert "sync whole: 2 of 2" in said.err
    assert run("verify", "--now", NOW) == 2
    said = capsys.readouterr()
    assert [line.split()[1] for line in said.out.splitlines()[1:]] == ["FAILED", "FAILED", "ok"]
    assert run("verify", "whole", "--now", NOW) == 0
    capsys.readouterr()
    assert run("sync", "--json") == 2
    reports = json.loads(capsys.readouterr().out)
    assert [r["action"] for r in reports] == ["failed", "failed", "unchanged"]
    assert "is not built yet" in reports[0]["error"] and reports[2]["error"] is None


@pytest.mark.usefixtures("three")
def test_a_difference_beside_a_failure_is_still_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(project.catalog)
    project.build(make_view("whole"), carriers({"AA": (9, 9.0)}), DAY2)
    in_a_folder(project, monkeypatch)
    assert run("verify", "whole", "--now", NOW) == 1
    assert run("verify", "--now", NOW) == 2


def in_a_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the project one that commands find: what they read of it is its catalog."""
    folder = project.folder / "target" / "forebay"
    folder.mkdir(parents=True)
    (folder / "catalog.json").write_text(project.catalog.dumps())
    (project.folder / "dbt_project.yml").write_text("name: test\n")
    monkeypatch.chdir(project.folder)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert isinstance(stop.value.code, int)
    return stop.value.code


class Outages:
    """Opens LMDB stores that fail on command as a cluster does that is away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = 0
        self.rests = True
        self.failing: list[str] = []
        # The package has a function of the module's name.
        monkeypatch.setattr(import_module("serving.sync.follow"), "open_store", self.open)
        monkeypatch.setattr(LmdbStore, "rest", lambda store: self.rests)
        monkeypatch.setattr(LmdbStore, "states", self._failing("states", LmdbStore.states))

    def open(self, uri: str, *, readonly: bool) -> OnlineStore:
        self._fail("open")
        self.opened += 1
        return open_store(uri, readonly=readonly)

    def _failing(self, name: str, method: Callable[[LmdbStore], object]) -> object:
        def call(store: LmdbStore) -> object:
            self._fail(name)
            return method(store)

        return call

    def _fail(self, name: str) -> None:
        if self.failing and self.failing[0] == name:
            self.failing.pop(0)
            raise StoreDownError("the online store does not answer", where="cql://x", hint="wait")


@pytest.mark.parametrize("stays", [True, False])
def test_following_survives_outages_and_keeps_one_store(
    project: Project, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    """At the first opening, twice with one word, and in the middle of a round."""
    outages = Outages(monkeypatch)
    outages.rests, outages.failing = stays, ["open", "open", "states"]
    view = make_view("delays")
    project.add(view)
    project.build(view, carriers({"AA": (1, 1.0)}), DAY1)
    stop = threading.Event()
    told: list[tuple[str, str]] = []
    rounds = 0

    def load() -> Catalog:
        nonlocal rounds
        rounds += 1
        if rounds == 6:
            project.build(view, carriers({"AA": (2, 2.0)}), DAY2)
        return project.catalog

    def report(done: SyncReport) -> None:
        told.append((done.view, done.action))
        if done.at == epoch_us(DAY2):
            stop.set()

    follow(load, every=0.01, stop=stop, report=report)
    # The round that was cut short had written the view, and says nothing of it.
    assert told == [("", "failed"), ("delays", "replaced")]
    assert outages.failing == [] and (outages.opened == 1) is stays
    store = open_store(project.catalog.online, readonly=True)
    assert dict(store.items(StoredView.of(view))) == {b"AA": b"\x002\x002.0"}
    store.close()
