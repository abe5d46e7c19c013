"""From the lakehouse to answers over HTTP, by way of a CQL store: sync, verify, serve."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from feature_specs.catalog import Column, ViewEntry
from serving.api import app as app_module
from serving.api import create_app
from serving.sync import sync
from tests.servers.cassandra import CassandraServer
from tests.serving.project import Project, carriers, history, instant, make_view
from tests.serving.test_one_failure import in_a_folder, run

DAY1, DAY2 = instant("06-30T00:00"), instant("07-01T00:00")


@pytest.mark.slow
def test_sync_verify_serve_and_a_store_that_goes_away(
    project: Project,
    cassandra: CassandraServer,
    new_keyspace: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project.catalog = replace(project.catalog, online=new_keyspace())
    delays, flights = make_view("delays"), make_view("flights")
    project.add(delays, flights)
    first = carriers({"AA": (1, 1.0), "B6": (2, None), "DL": (3, 3.0)})
    for view in (delays, flights):
        project.build(view, first, DAY1, changes=history(first, [DAY1] * 3, [False] * 3))
    in_a_folder(project, monkeypatch)
    assert run("sync") == 0
    assert run("verify", "--now", "2013-07-01T00:00:00Z") == 0
    with TestClient(create_app(project.catalog)) as client:
        body = {
            "features": ["delays:n", "flights:delay"],
            "entities": {"carrier": ["AA", "B6", "XX"]},
            "full_feature_names": True,
        }

        def ask() -> dict[str, list[object]]:
            answer = client.post("/get-online-features", json=body)
            assert answer.status_code == 200, answer.text
            names = answer.json()["metadata"]["feature_names"]
            return {n: r["values"] for n, r in zip(names, answer.json()["results"], strict=True)}

        assert ask()["delays__n"] == [1, 2, None]
        assert ask()["flights__delay"] == [1.0, None, None]
        changed = history(carriers({"AA": (9, 9.0), "B6": (None, None)}), [DAY2] * 2, [False, True])
        last = carriers({"AA": (9, 9.0), "DL": (3, 3.0)})
        project.build(delays, last, DAY2, changes=changed)
        assert [report.action for report in sync(project.catalog)] == ["changed", "unchanged"]
        # A server learns of a commit within state_seconds.
        for _ in range(100):
            if ask()["delays__n"] != [1, 2, None]:
                break
            time.sleep(0.1)
        assert ask()["delays__n"] == [9, None, None]
        assert client.get("/health").status_code == 200
        cassandra.kill()
        try:
            time.sleep(0.3)  # what is known of the commit is answered for state_seconds
            gone = client.post("/get-online-features", json=body)
            assert gone.status_code == 503 and gone.headers["retry-after"] == "1"
            assert "does not answer" in gone.text
        finally:
            cassandra.start()
        for _ in range(100):
            if client.post("/get-online-features", json=body).status_code == 200:
                break
            time.sleep(0.1)
        assert ask()["delays__n"] == [9, None, None]
    assert run("verify", "--now", "2013-07-01T00:00:00Z") == 0


@pytest.mark.slow
def test_take_over_without_a_failed_request(
    project: Project, new_keyspace: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward and back while requests come, and a server that starts between compile and sync."""
    monkeypatch.setattr(app_module, "LOOK_EVERY_S", 0.05)
    project.catalog = replace(project.catalog, online=new_keyspace())
    path = project.folder / "catalog.json"
    old = make_view("delays")
    new = replace(old, semantic_hash="hash2", stored=old.stored[::-1])
    body = {"features": ["delays:n"], "entities": {"carrier": ["AA"]}}

    def compile_(view: ViewEntry) -> None:
        project.add(view)
        path.write_text(project.catalog.dumps())

    def build_and_sync(view: ViewEntry, n: int) -> None:
        project.build(view, carriers({"AA": (n, float(n))}), instant(f"07-01T0{n}:00"))
        (report,) = sync(project.catalog)
        assert report.action == "replaced"

    def ask(client: TestClient) -> object:
        answer = client.post("/v1/vectors", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["vectors"][0][0]

    compile_(old)
    build_and_sync(old, 1)
    compile_(new)
    with TestClient(create_app(project.catalog, path=path)) as client:
        seen: list[object] = []
        over = threading.Event()

        def go_on() -> None:
            while not over.is_set():
                seen.append(ask(client))

        with ThreadPoolExecutor() as pool:
            readers = [pool.submit(go_on) for _ in range(2)]
            try:
                for number, view in enumerate([new, old, new], start=2):
                    compile_(view)
                    assert ask(client) == number - 1
                    build_and_sync(view, number)
                    for _ in range(200):
                        if ask(client) == number:
                            break
                        time.sleep(0.05)
                    assert ask(client) == number
            finally:
                over.set()
            for reader in readers:
                reader.result()
        assert set(seen) == {1, 2, 3, 4}


@pytest.mark.slow
def test_a_store_that_hangs_is_half_there(
    project: Project, cassandra: CassandraServer, new_keyspace: Callable[[], str]
) -> None:
    """Stopped by a signal it answers nothing and keeps its connections: a budget is kept, what is
    known of hot keys is answered, the rest is marked, and all is well once it goes on."""
    uri = new_keyspace().replace("state_seconds=0.2", "state_seconds=60")
    project.catalog = replace(project.catalog, online=uri)
    delays = make_view("delays")
    queues = make_view("queues", entities=(Column("airport", "VARCHAR"),))
    project.add(delays, queues)
    rows = carriers({"AA": (7, 1.5)})
    project.build(delays, rows, DAY1)
    project.build(queues, rows.rename_columns(["airport", "n", "delay"]), DAY1)
    sync(project.catalog)

    def ask(features: list[str], **more: object) -> Response:
        entities = {"carrier": ["AA"], "airport": ["AA"]}
        body = {"features": features, "entities": entities, **more}
        return client.post("/v1/vectors", json=body)

    with TestClient(create_app(project.catalog)) as client:
        assert ask(["delays:n"]).json()["vectors"] == [[7]]
        os.kill(cassandra.pid, signal.SIGSTOP)
        try:
            half = ask(["delays:n", "queues:n"], budget_ms=100).json()
            assert half["vectors"] == [[7, None]]
            assert half["absent"] == [{"row": 0, "view": "queues", "status": "UNAVAILABLE"}]
            for more in ({}, {"budget_ms": 100}):
                gone = ask(["queues:n"], **more)
                assert gone.status_code == 503 and gone.headers["retry-after"] == "1"
        finally:
            os.kill(cassandra.pid, signal.SIGCONT)
        for _ in range(100):
            if ask(["queues:n"]).status_code == 200:
                break
            time.sleep(0.1)
        whole = ask(["delays:n", "queues:n"], budget_ms=20_000).json()
        assert (whole["vectors"], whole["absent"]) == ([[7, 7]], [])
