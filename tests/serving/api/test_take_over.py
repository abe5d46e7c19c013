"""A running server takes over a project that was compiled, built and synced anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import Column, Feature, ViewEntry
from serving.api import app as app_module
from serving.api import create_app
from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view

pytestmark = pytest.mark.slow

OLD = make_view("delays")
#: The same names mean something else, and one is new.
NEW = replace(
    OLD,
    semantic_hash="hash2",
    features=(
        *OLD.features,
        Feature("more", "BIGINT", "", ["add", ["column", "n"], ["literal", 1, "BIGINT"]]),
    ),
)
N = {"features": ["delays:n"], "entities": {"carrier": ["AA"]}}
MORE = {"features": ["delays:more"], "entities": {"carrier": ["AA"]}}


def build(project: Project, view: ViewEntry, n: int) -> None:
    project.build(view, carriers({"AA": (n, 0.0)}), instant(f"07-01T0{n}:00"))


def compiled(project: Project, view: ViewEntry) -> Path:
    project.add(view)
    path = project.folder / "catalog.json"
    path.write_text(project.catalog.dumps())
    return path


@pytest.fixture
def client(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Of a server that has the old view, synced, with n = 1."""
    monkeypatch.setattr(app_module, "LOOK_EVERY_S", 0.01)
    path = compiled(project, OLD)
    build(project, OLD, 1)
    sync(project.catalog)
    with TestClient(create_app(project.catalog, path=path)) as made:
        yield made


def values(client: TestClient, body: dict[str, Any]) -> list[Any]:
    response = client.post("/get-online-features", json=body)
    assert response.status_code == 200, response.text
    found: list[Any] = response.json()["results"][1]["values"]
    return found


def wait(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not become so")


def answers(client: TestClient, n: int) -> bool:
    return values(client, N) == [n]


def waiting(client: TestClient) -> list[str]:
    found: list[str] = client.get("/health").json()["waiting"]
    return found


def test_forward_and_back(project: Project, client: TestClient) -> None:
    compiled(project, NEW)
    wait(lambda: waiting(client) == ["delays"])
    assert values(client, N) == [1]
    build(project, NEW, 2)
    assert values(client, N) == [1]
    sync(project.catalog)
    wait(lambda: values(client, N) == [2])
    assert (values(client, MORE), waiting(client)) == ([3], [])

    # The rows of before are there still, and not gone back to: they are older.
    compiled(project, OLD)
    wait(lambda: waiting(client) == ["delays"])
    assert values(client, N) == [2]
    build(project, OLD, 3)
    sync(project.catalog)
    wait(lambda: values(client, N) == [3])
    assert client.post("/get-online-features", json=MORE).status_code == 404


def test_a_server_that_starts_between_compile_and_sync(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers by what the rows mean that are there, as one that was running would."""
    monkeypatch.setattr(app_module, "LOOK_EVERY_S", 0.01)
    compiled(project, OLD)
    project.service("old", ("delays", "n"))
    build(project, OLD, 1)
    sync(project.catalog)
    project.add(make_view("unsynced"))
    project.service("old", ("delays", "more"))
    for number in range(2, 4):
        path = compiled(project, NEW if number == 2 else OLD)
        with TestClient(create_app(project.catalog, path=path)) as client:
            assert (waiting(client), values(client, N)) == (["delays"], [number - 1])
            if number == 2:
                asked = {**N, "features": None, "feature_service": "old"}
                assert values(client, {k: v for k, v in asked.items() if v}) == [1]
            build(project, NEW if number == 2 else OLD, number)
            sync(project.catalog)
            wait(partial(answers, client, number))
            assert waiting(client) == []


@pytest.mark.parametrize(
    "later",
    [
        replace(OLD, stored=(Column("n", "VARCHAR"), OLD.stored[1])),
        replace(OLD, entities=(Column("carrier", "BIGINT"),)),
    ],
)
def test_other_types_of_one_query_are_another_meaning(
    project: Project, client: TestClient, later: ViewEntry
) -> None:
    """They follow from the leaves' types; bytes of the old ones are never answered as the new ones."""
    compiled(project, later)
    wait(lambda: waiting(client) == ["delays"])
    assert values(client, N) == [1]
    (report,) = sync(project.catalog)
    assert report.action == "failed" and "run `forebay build`" in str(report.error)
    assert values(client, N) == [1]


def test_a_feature_that_is_compiled_and_not_synced(project: Project, client: TestClient) -> None:
    before = client.post("/get-online-features", json=MORE).json()
    compiled(project, NEW)
    wait(lambda: waiting(client) == ["delays"])
    after = client.post("/get-online-features", json=MORE).json()
    assert "not in the online store yet" not in before["detail"]
    assert "it was compiled, and is not in the online store yet" in after["detail"]
    assert after["error"]["hint"] == "run `forebay build` and `forebay sync`"


@pytest.mark.parametrize("kind", ["cut off", "of a later version", "no object", "without views"])
def test_a_catalog_that_cannot_be_read_changes_nothing(
    project: Project, client: TestClient, kind: str
) -> None:
    path = compiled(project, NEW)
    whole = path.read_text()
    raw = json.loads(whole)
    texts = {
        "cut off": whole[:100],
        "of a later version": json.dumps({**raw, "later": 1}),
        "no object": "[1]",
        "without views": json.dumps({n: v for n, v in raw.items() if n != "views"}),
    }
    path.write_text(texts[kind])
    build(project, NEW, 2)
    sync(project.catalog)
    time.sleep(0.1)
    assert values(client, N) == [1]
    path.write_text(whole)
    wait(lambda: values(client, N) == [2])
    path.unlink()
    assert values(client, N) == [2]


def test_another_online_store_needs_a_restart(project: Project, client: TestClient) -> None:
    project.catalog = replace(project.catalog, online=f"lmdb://{project.folder}/elsewhere.lmdb")
    compiled(project, NEW)
    wait(lambda: client.get("/health").json()["problem"] is not None)
    assert "restart `forebay serve`" in client.get("/health").json()["problem"]
    assert values(client, N) == [1]


def test_an_instant_of_the_callers_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LOOK_EVERY_S", 0.01)
    path = compiled(project, OLD)
    build(project, OLD, 1)
    sync(project.catalog)
    kept: list[str | None] = []
    fixed = instant("07-01T09:00")
    app = create_app(
        replace(project.catalog, now=fixed.isoformat()),
        path=path,
        clock=lambda: fixed,
        on_switch=lambda catalog: kept.append(catalog.now),
    )
    with TestClient(app) as client:
        compiled(project, replace(OLD, freshness_us=1))
        wait(lambda: bool(kept))
        view = client.get("/features").json()["views"][0]
    assert kept[-1] == fixed.isoformat()
    assert view["online"]["age_us"] == 8 * 3_600_000_000
