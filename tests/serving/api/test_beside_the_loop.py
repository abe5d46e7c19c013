"""Nothing that reads the store or files holds up a server's event loop, but for lookups of LMDB."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_specs.catalog_file import CatalogFile
from feature_specs.errors import did_you_mean
from serving.api import create_app
from serving.api.metrics import Metrics
from serving.stores.lmdb import LmdbStore
from tests.serving.project import Project, make_view

pytestmark = pytest.mark.slow

AA = {"carrier": ["AA"]}


@pytest.fixture
def beside_the_loop(served: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[BesideTheLoop]:
    path = served.folder / "catalog.json"
    served.add(make_view("new"))
    path.write_text(served.catalog.dumps())
    with TestClient(create_app(served.catalog, path=path)) as client:
        assert client.portal is not None
        yield BesideTheLoop(monkeypatch, client, client.portal.call(threading.get_ident))


class BesideTheLoop:
    """Notes in which threads a server reads its store and its files: those of LMDB's lookups apart,
    which take microseconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, client: TestClient, loop: int) -> None:
        self.client, self._loop = client, loop
        self.called: list[str] = []
        self._patch = monkeypatch
        for of, name in (
            (LmdbStore, "states"), (LmdbStore, "items"), (CatalogFile, "load"), (Metrics, "render"),
            (Path, "read_text"), (Path, "read_bytes"), (Path, "stat"),
        ):  # fmt: skip
            self._watch(of, name)

    def _watch(self, of: type, name: str) -> None:
        method = getattr(of, name)

        def call(*args: Any, **options: Any) -> Any:
            if threading.get_ident() == self._loop:
                pytest.fail(f"{of.__name__}.{name} holds up the event loop")
            self.called.append(name)
            return method(*args, **options)

        self._patch.setattr(of, name, call)


@pytest.mark.parametrize(("view", "status", "reads"), [("new", 503, "states"), ("nw", 404, "load")])
def test_errors_are_explained_beside_the_event_loop(
    beside_the_loop: BesideTheLoop, view: str, status: int, reads: str
) -> None:
    body = {"features": [f"{view}:n"], "entities": AA}
    answer = beside_the_loop.client.post("/get-online-features", json=body)
    assert answer.status_code == status, answer.text
    assert reads in beside_the_loop.called


@pytest.mark.parametrize(
    ("path", "reads"),
    [("/health", "states"), ("/features", "states"), ("/metrics", "render"), ("/", "states"),
     ("/view/delays", "items"), ("/view/none", "states"), ("/v1/features?q=delay", "states")],
)  # fmt: skip
def test_pages_are_made_beside_the_event_loop(
    beside_the_loop: BesideTheLoop, path: str, reads: str
) -> None:
    answer = beside_the_loop.client.get(path)
    assert answer.status_code in (200, 404, 503), answer.text
    assert reads in beside_the_loop.called


def test_what_is_asked_and_unknown_is_looked_for_once(
    beside_the_loop: BesideTheLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project on disk is the one that is served: it knows no better, and nobody is asked twice."""
    sought: list[str] = []

    def seek(name: str, known: Iterable[str]) -> str:
        sought.append(name)
        return did_you_mean(name, known)

    monkeypatch.setattr("serving.lookup.names.did_you_mean", seek)
    body = {"features": ["delays__n", "excess"], "entities": AA}
    error = beside_the_loop.client.post("/v1/vectors", json=body).json()["error"]
    assert error["hint"].startswith("did you mean 'delays:excess'")
    assert sought == ["delays:excess"]
