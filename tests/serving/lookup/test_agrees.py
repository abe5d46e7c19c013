"""Drawn requests answer what a plain reading of the rows gives, from a new plan and from a cached one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from serving.api import create_app
from tests.serving.lookup.world import EPOCH, SHOPS, USERS, Kind, kinds, make_catalog, write

WORLD = kinds()
FEATURES = [(name, f.name) for name, kind in WORLD.items() for f in kind.view.features]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("world")
    catalog = make_catalog(folder, WORLD)
    write(catalog, WORLD.values())
    with TestClient(create_app(catalog)) as made:
        yield made


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Features, entity columns, and the request value as a column or as one value."""
    # Often all of them, so that what only some have in common is drawn often enough.
    features = draw(st.permutations(FEATURES))[: draw(st.sampled_from([1, 4, 9, len(FEATURES)]))]
    count = draw(st.sampled_from([1, 2, 9, 20]))
    users = st.sampled_from([*USERS, *USERS, "nobody", "", None])
    column = st.lists(users, min_size=count, max_size=count)
    entities: dict[str, Any] = {"user_id": draw(column)}
    if any(view == "pairs" for view, _ in features) or draw(st.booleans()):
        shops = st.sampled_from([*SHOPS, 3, None])
        entities["shop"] = draw(st.lists(shops, min_size=count, max_size=count))
    one = st.sampled_from([None, *range(1000, 1020)])
    k: Any = [draw(one) for _ in range(count)]
    if draw(st.booleans()):
        k = draw(one)
    return {"features": features, "entities": entities, "k": k, "count": count}


def expected(asked: dict[str, Any], view: str, feature: str) -> list[tuple[Any, str, str]]:
    """What every entity's answer is."""
    kind: Kind = WORLD[view]
    columns = [asked["entities"][c.name] for c in kind.view.entities]
    ks = asked["k"] if isinstance(asked["k"], list) else [asked["k"]] * asked["count"]
    keys = zip(*columns, strict=True)
    return [kind.answer(feature, key, k) for key, k in zip(keys, ks, strict=True)]


@pytest.mark.parametrize(("block", "turn"), [(5_000, 12_000), (7, 3)])
@given(asked=requests())
@settings(max_examples=60, deadline=None)
def test_drawn_requests(client: TestClient, block: int, turn: int, asked: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serving.lookup.read._BLOCK", block)
        patch.setattr("serving.lookup.read._TURN", turn)
        for _ in range(2):  # the second is answered from the plan of the first
            check_feast(client, asked)
            check_vectors(client, asked)


def check_feast(client: TestClient, asked: dict[str, Any]) -> None:
    body = {
        "features": [f"{view}:{feature}" for view, feature in asked["features"]],
        "full_feature_names": True,
        "entities": asked["entities"],
        "request_context": {"k": asked["k"]},
    }
    response = client.post("/get-online-features", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    names = [f"{view}__{feature}" for view, feature in asked["features"]]
    assert answer["metadata"]["feature_names"] == [*asked["entities"], *names]
    entities = len(asked["entities"])
    for result, values in zip(answer["results"], asked["entities"].values(), strict=False):
        count = asked["count"]
        assert result == {
            "values": values,
            "statuses": ["PRESENT"] * count,
            "event_timestamps": [EPOCH] * count,
        }
    for result, (view, feature) in zip(
        answer["results"][entities:], asked["features"], strict=True
    ):
        fields = (result["values"], result["statuses"], result["event_timestamps"])
        assert list(zip(*fields, strict=True)) == expected(asked, view, feature)


def check_vectors(client: TestClient, asked: dict[str, Any]) -> None:
    body = {
        "features": [f"{view}:{feature}" for view, feature in asked["features"]],
        "entities": asked["entities"],
        "request": {"k": asked["k"]},
    }
    response = client.post("/v1/vectors", json=body)
    assert response.status_code == 200, response.text
    answers = [expected(asked, view, feature) for view, feature in asked["features"]]
    rows = [[value for value, _, _ in row] for row in zip(*answers, strict=True)]
    views = dict.fromkeys(view for view, _ in asked["features"])
    absent = []
    for view in views:
        statuses = expected(asked, view, WORLD[view].view.features[0].name)
        absent += [
            {"row": i, "view": view, "status": status}
            for i, (_, status, _) in enumerate(statuses)
            if status not in ("PRESENT", "NULL_VALUE")
        ]
    assert (response.json()["vectors"], response.json()["absent"]) == (rows, absent)
    packed = client.post("/v1/vectors", json=body, headers={"accept": "application/msgpack"})
    assert msgpack.unpackb(packed.content) == response.json()
