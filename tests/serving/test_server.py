"""A real server in a process of its own, over a real socket."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view

SERVER = """
import sys
from pathlib import Path
from feature_specs.catalog import load_catalog
from serving.server import serve
if __name__ == "__main__":
    serve(load_catalog(Path(sys.argv[1])), "127.0.0.1", int(sys.argv[2]), int(sys.argv[3]))
"""


@contextmanager
def running(project: Project, workers: int) -> Iterator[httpx.Client]:
    script, catalog = project.folder / "server.py", project.folder / "catalog.json"
    script.write_text(SERVER)
    catalog.write_text(project.catalog.dumps())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(script), str(catalog), str(port), str(workers)]
    with subprocess.Popen(command) as server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                _wait(client, server)
                yield client
        finally:
            server.terminate()
            server.wait()


def _wait(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            client.get("/health")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the server ended")


@pytest.mark.parametrize("workers", [1, 2])
def test_lookups_over_http_while_the_data_is_replaced(tmp_path: Path, workers: int) -> None:
    project = Project(tmp_path)
    view = make_view("delays")
    project.add(view)
    project.build(view, carriers({"AA": (0, 0.0)}), instant("07-01T00:00"))
    sync(project.catalog)
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
