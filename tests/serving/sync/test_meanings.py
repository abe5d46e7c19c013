"""Rows of an earlier meaning stay for servers that know no other yet, and not for ever."""

from __future__ import annotations

from dataclasses import replace

from feature_specs.catalog import ViewEntry
from serving.kept_catalog import KEPT
from serving.state import load_state
from serving.stores import StoredView, open_store
from serving.sync import sync
from serving.sync.meanings import GRACE_S, retire_earlier
from tests.serving.project import Project, carriers, instant, make_view

OLD = make_view("delays")
NEW = replace(OLD, semantic_hash="hash2")
OTHER = make_view("other")
#: What they are stored as.
OLDS, NEWS, OTHERS = (StoredView.of(view).name for view in (OLD, NEW, OTHER))


def build(project: Project, view: ViewEntry, n: int) -> None:
    project.add(view)
    project.build(view, carriers({"AA": (n, 0.0)}), instant(f"07-01T0{n}:00"))
    sync(project.catalog)


def rows(project: Project) -> dict[str, dict[bytes, bytes]]:
    """What is stored, by name."""
    store = open_store(project.catalog.online, readonly=True)
    try:
        views = [view for view in store.states() if view.name != KEPT.name]
        return {view.name: dict(store.items(view)) for view in views}
    finally:
        store.close()


def retired(project: Project) -> dict[str, bool]:
    store = open_store(project.catalog.online, readonly=True)
    try:
        states = {view.name: load_state(raw) for view, raw in store.states().items()}
        del states[KEPT.name]
    finally:
        store.close()
    return {n: state is not None and state.retired is not None for n, state in states.items()}


def test_both_meanings_are_there_after_the_second_is_synced(project: Project) -> None:
    build(project, OLD, 1)
    build(project, NEW, 2)
    assert retired(project) == {OLDS: True, NEWS: False}
    assert [len(found) for found in rows(project).values()] == [1, 1]
    assert len({tuple(found.values()) for found in rows(project).values()}) == 2


def test_going_back_writes_all_rows_anew(project: Project) -> None:
    build(project, OLD, 1)
    build(project, NEW, 2)
    project.add(OLD)
    project.build(OLD, carriers({"AA": (3, 0.0)}), instant("07-01T03:00"))
    (report,) = sync(project.catalog)
    assert (report.action, report.rows) == ("replaced", 1)
    assert retired(project) == {OLDS: False, NEWS: True}


def test_an_earlier_meaning_is_dropped_once_its_time_is_over(project: Project) -> None:
    project.add(OTHER)
    project.build(OTHER, carriers({"AA": (5, 0.0)}), instant("07-01T01:00"))
    build(project, OLD, 1)
    build(project, NEW, 2)
    store = open_store(project.catalog.online)
    known = load_state(store.get_state(StoredView.of(OLD)))
    assert known is not None and known.retired is not None
    over = known.retired + GRACE_S * 10**6
    retire_earlier(store, [NEW, OTHER], now_us=over)
    assert set(rows(project)) == {OLDS, NEWS, OTHERS}
    retire_earlier(store, [NEW, OTHER], now_us=over + 1)
    store.close()
    assert {name: len(found) for name, found in rows(project).items()} == {
        NEWS: 1,
        OTHERS: 1,
    }
