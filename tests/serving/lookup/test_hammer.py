"""Many requests at once, while rows are replaced: no entity is ever answered another's values."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from feature_specs.catalog import Catalog, Column, Feature, ViewEntry
from serving.api import App, create_app
from serving.keys import encode_key
from serving.state import ViewState
from serving.stores import OnlineStore, StoredView, open_store
from tests.serving.project import make_view
from tests.serving.stored_rows import encode_row

VIEWS, FEATURES, USERS, GENERATIONS = 4, 5, 60, 25


def view(number: int) -> ViewEntry:
    names = [f"f{i}" for i in range(FEATURES)]
    return make_view(
        f"v{number}",
        entities=(Column("user_id", "BIGINT"),),
        stored=tuple(Column(name, "VARCHAR") for name in names),
        features=tuple(Feature(name, "VARCHAR") for name in names),
        event_time="at" if number % 2 else None,
    )


def write(store: OnlineStore, entry: ViewEntry, generation: int) -> None:
    """All rows anew: every value says whose it is, and of which generation."""
    rows = [
        (
            encode_key([str(user)]),
            encode_row(
                generation * 1_000_000 if entry.event_time else None,
                [f'"{entry.name} {f.name} {user} {generation}"' for f in entry.features],
            ),
        )
        for user in range(USERS)
    ]
    state = ViewState(generation * 1_000_000, entry.semantic_hash, USERS)
    store.write(StoredView.of(entry), rows, (), state.dumps(), replace=True)


async def post(app: App, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of the application to one request."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    answer: dict[str, Any] = json.loads(sent[1]["body"])
    return answer


async def ask(app: App, draw: random.Random) -> None:
    """Send a request of either form, and check every value of its answer."""
    views = draw.sample(range(VIEWS), draw.randint(1, VIEWS))
    asked = [(f"v{v}", f"f{i}") for v in views for i in draw.sample(range(FEATURES), FEATURES)]
    if draw.random() < 0.3:
        asked = [(f"v{v}", f"f{i}") for v in views for i in range(FEATURES)]
    if draw.random() < 0.3:
        draw.shuffle(asked)
    users = [draw.randrange(USERS) for _ in range(draw.choice([1, 1, 2, 30, 400]))]
    body = {"features": [f"{v}:{f}" for v, f in asked], "entities": {"user_id": users}}
    if draw.random() < 0.5:
        answer = await post(app, "/v1/vectors", body)
        columns = [list(column) for column in zip(*answer["vectors"], strict=True)]
    else:
        answer = await post(app, "/get-online-features", {**body, "full_feature_names": True})
        columns = [result["values"] for result in answer["results"][1:]]
    generations: dict[str, set[str]] = {}
    for (name, feature), column in zip(asked, columns, strict=True):
        for user, value in zip(users, column, strict=True):
            *own, generation = value.split()
            assert own == [name, feature, str(user)]
            generations.setdefault(name, set()).add(generation)
    assert all(len(found) == 1 for found in generations.values()), "a mix of generations"


@pytest.mark.parametrize("seed", range(2))
def test_values_are_the_entitys_own(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.lookup.read._BLOCK", 100)
    monkeypatch.setattr("serving.lookup.read._TURN", 150)
    monkeypatch.setattr("serving.stores.lmdb._LONG_READ", 300)
    entries = [view(number) for number in range(VIEWS)]
    catalog = Catalog(
        project="hammer",
        lake={},
        online=f"lmdb://{tmp_path}/online.lmdb",
        views={entry.name: entry for entry in entries},
    )
    store = open_store(catalog.online)
    for entry in entries:
        write(store, entry, 0)
    stop = threading.Event()

    def rewrite() -> None:
        for generation in range(1, GENERATIONS):
            for entry in entries:
                write(store, entry, generation)
        stop.set()

    async def hammer() -> int:
        app, draw, rounds = create_app(catalog), random.Random(seed), 0
        while not stop.is_set() or rounds < 5:
            await asyncio.gather(*(ask(app, draw) for _ in range(25)))
            rounds += 1
        return rounds

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        assert asyncio.run(hammer()) >= 5
    finally:
        writer.join()
        store.close()
