"""A real server in a process of its own, over a real socket."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_specs.catalog import ViewEntry
from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view
from tests.serving.server_process import server_of

pytestmark = pytest.mark.slow

#: The process that listens on a port: the parent of workers.
_PARENTS: dict[int, int] = {}


@contextmanager
def running(project: Project, workers: int) -> Iterator[httpx.Client]:
    with (
        server_of(project.catalog, project.folder, workers) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
    ):
        _PARENTS[client.base_url.port or 0] = server.pid
        yield client


@pytest.mark.parametrize("workers", [1, 2])
def test_lookups_over_http_while_the_data_is_replaced(tmp_path: Path, workers: int) -> None:
    project = Project(tmp_path)
    view = project.sync_delays(0, instant("07-01T00:00"))
    body = {"features": ["delays:n"], "entities": {"carrier": ["AA"]}}
    with running(project, workers) as client:
        for n in range(4):
            answer = client.post("/get-online-features", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json()["results"][1]["values"] == [n]
            rows = carriers({"AA": (n + 1, 0.0)})
            project.build(view, rows, instant(f"07-01T0{n + 1}:00"))
            sync(project.catalog)
        assert "delays" in client.get("/").text
        # A page whose name leads to this machine is not answered, by whichever worker.
        for _ in range(4):
            answer = httpx.post(
                client.base_url.join("/get-online-features"),
                json=body,
                headers={"host": "page.example.com"},
                trust_env=False,
            )
            assert (answer.status_code, "delays" in answer.text) == (421, False)


def test_metrics_of_all_workers_add_up(tmp_path: Path) -> None:
    project = Project(tmp_path)
    view = make_view("delays")
    project.add(view)
    project.build(view, carriers({"AA": (0, 0.0), "B6": (None, 1.0)}), instant("07-01T00:00"))
    sync(project.catalog)
    body = {"features": ["delays:n"], "entities": {"carrier": ["AA", "B6", "XX"]}}
    expected = {
        'forebay_requests_total{status="200"} 40.0',
        'forebay_requests_total{status="404"} 1.0',
        "forebay_request_seconds_count 41.0",
        'forebay_feature_values_total{status="PRESENT",view="delays"} 40.0',
        'forebay_feature_values_total{status="NULL_VALUE",view="delays"} 40.0',
        'forebay_feature_values_total{status="NOT_FOUND",view="delays"} 40.0',
        'forebay_view_rows{view="delays"} 2.0',
    }
    with running(project, 2) as client:
        for _ in range(40):
            # A connection each, so that both workers have their share.
            answer = httpx.post(
                client.base_url.join("/get-online-features"), json=body, trust_env=False
            )
            assert answer.status_code == 200
        unknown = {"entities": body["entities"]}
        assert client.post("/v1/services/none/vectors", json=unknown).status_code == 404
        missing = expected
        for _ in range(100):  # workers write their counts within a second
            missing = expected - set(client.get("/metrics").text.splitlines())
            if not missing:
                break
            time.sleep(0.1)
        assert not missing


@dataclass
class Load:
    """Asks again and again, and keeps every answer."""

    port: int
    body: dict[str, Any]
    statuses: Counter[int] = field(default_factory=Counter)
    values: list[Any] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, clients: int) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def wait_for(self, value: Any) -> None:
        """Until every recent answer is that one: all workers have it."""
        for _ in range(3000):
            if set(self.values[-100:]) == {value}:
                return
            time.sleep(0.02)
        pytest.fail(f"the answers never were {value}, but {self.values[-10:]} {self.statuses}")

    def _ask(self) -> None:
        url = f"http://127.0.0.1:{self.port}/get-online-features"
        while not self._ended.is_set():
            # A client of its own each time, so that every worker gets its share.
            with httpx.Client(trust_env=False) as client:
                for _ in range(20):
                    answer = client.post(url, json=self.body)
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 200:
                        self.values.append(answer.json()["results"][1]["values"][0])


@pytest.mark.parametrize("workers", [1, 3])
def test_a_project_is_taken_over_under_load_forward_and_back(tmp_path: Path, workers: int) -> None:
    project = Project(tmp_path)
    old, new = make_view("delays"), make_view("delays", semantic_hash="hash2")
    body = {"features": ["delays:n"], "entities": {"carrier": ["AA"]}}
    catalog = tmp_path / "catalog.json"

    def build_and_sync(view: ViewEntry, n: int) -> None:
        project.add(view)
        catalog.with_suffix(".new").write_text(project.catalog.dumps())
        catalog.with_suffix(".new").replace(catalog)
        project.build(view, carriers({"AA": (n, 0.0)}), instant(f"07-01T0{n}:00"))
        time.sleep(1.2)  # a server that looked at it meanwhile finds nothing of it stored
        sync(project.catalog)

    build_and_sync(old, 1)
    with running(project, workers) as client:
        load = Load(client.base_url.port or 0, body)
        with load.running(2):
            load.wait_for(1)
            for n, view in enumerate([new, old, new], 2):
                build_and_sync(view, n)
                load.wait_for(n)
    assert set(load.statuses) == {200}
    assert set(load.values) == {1, 2, 3, 4}


def _children(pid: int) -> list[int]:
    """Worker processes; not the one that only watches over what multiprocessing shares."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    made = []
    for child in map(int, listed):
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            made.append(child)
    return made


def test_a_worker_that_is_killed_is_started_anew_while_others_answer(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.sync_delays(7, instant("07-01T00:00"))
    body = {"features": ["delays:n"], "entities": {"carrier": ["AA"]}}
    with running(project, 2) as client:
        url = str(client.base_url.join("/get-online-features"))
        parent = _PARENTS[client.base_url.port or 0]
        before = _children(parent)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        answered = 0
        for _ in range(600):
            try:
                answer = httpx.post(url, json=body, trust_env=False)
            except httpx.TransportError:
                continue  # this connection was the killed worker's
            assert answer.json()["results"][1]["values"] == [7]
            answered += 1
            now = _children(parent)
            if answered > 50 and len(now) == 2 and before[0] not in now:
                return
            time.sleep(0.02)
    pytest.fail("no worker took the place of the one that was killed")
