"""What a lookup answers, in the shape of Feast's feature server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from serving.sync import sync
from tests.serving.api.conftest import ask
from tests.serving.project import Project, carriers, instant

pytestmark = pytest.mark.slow

EPOCH = "1970-01-01T00:00:00Z"


def test_stored_features(client: TestClient) -> None:
    body = {"features": ["delays:n", "delays:delay"], "entities": {"carrier": ["AA", "B6", "XX"]}}
    assert client.post("/get-online-features", json=body).json() == {
        "metadata": {"feature_names": ["carrier", "n", "delay"]},
        "results": [
            {
                "values": ["AA", "B6", "XX"],
                "statuses": ["PRESENT"] * 3,
                "event_timestamps": [EPOCH] * 3,
            },
            {
                "values": [3, None, None],
                "statuses": ["PRESENT", "NULL_VALUE", "NOT_FOUND"],
                "event_timestamps": ["2013-07-01T08:00:00Z", "2013-07-01T08:00:00Z", EPOCH],
            },
            {
                "values": [1.5, "NaN", None],
                "statuses": ["PRESENT", "PRESENT", "NOT_FOUND"],
                "event_timestamps": ["2013-07-01T08:00:00Z", "2013-07-01T08:00:00Z", EPOCH],
            },
        ],
    }


def test_names_of_the_answer(client: TestClient) -> None:
    one: dict[str, Any] = {"entities": {"carrier": ["AA"]}}
    assert list(ask(client, features=["delays:n"], **one)) == ["carrier", "n"]
    assert list(ask(client, features=["delays__n"], **one)) == ["carrier", "n"]
    full = ask(client, features=["delays:n"], full_feature_names=True, **one)
    assert list(full) == ["carrier", "delays__n"]
    two = ask(client, features=["strict:n", "delays__delay"], **one)
    assert list(two) == ["carrier", "n", "delay"]
    two = ask(client, features=["strict:n", "delays__n"], full_feature_names=True, **one)
    assert list(two) == ["carrier", "strict__n", "delays__n"]


def test_a_service_over_two_entities(client: TestClient) -> None:
    entities = {"flight": [1, 1], "carrier": ["AA", "Ü"], "origin": ["JFK", None]}
    short = ask(client, feature_service="arrival", entities=entities)
    assert list(short) == ["flight", "carrier", "origin", "n", "gate"]
    answer = ask(client, feature_service="arrival", entities=entities, full_feature_names=True)
    assert list(answer.values()) == list(short.values())
    assert list(answer) == ["flight", "carrier", "origin", "delays__n", "last__seen__gate"]
    assert answer["origin"]["values"] == ["JFK", None]
    assert answer["delays__n"]["values"] == [3, 0]
    assert answer["last__seen__gate"]["values"] == ["A1", None]
    assert answer["last__seen__gate"]["statuses"] == ["PRESENT", "NOT_FOUND"]


def test_ttl_is_inclusive_and_the_event_time_is_told(client: TestClient) -> None:
    entities = {"origin": ["JFK", "JFK", "EWR", "EWR"], "flight": [1, 2, 1, 2]}
    answer = ask(client, features=["last__seen__gate", "last__seen:since_s"], entities=entities)
    statuses = ["PRESENT", "OUTSIDE_MAX_AGE", "NULL_VALUE", "NOT_FOUND"]
    times = ["2013-07-01T06:00:00Z", "2013-07-01T05:59:59.999999Z", "2013-07-01T07:00:00Z", EPOCH]
    gate, since = answer["gate"], answer["since_s"]
    assert (gate["values"], gate["statuses"]) == (["A1", None, None, None], statuses)
    assert gate["event_timestamps"] == times
    assert since["values"] == [6 * 3600.0, None, 5 * 3600.0, None]
    assert since["statuses"] == ["PRESENT", "OUTSIDE_MAX_AGE", "PRESENT", "NOT_FOUND"]


@pytest.mark.parametrize("place", ["request_context", "request", "entities", "one for all"])
def test_request_values(client: TestClient, place: str) -> None:
    entities: dict[str, Any] = {"carrier": ["AA", "AA", "XX", "B6"]}
    body: dict[str, Any] = {"features": ["delays:excess"], "entities": entities}
    minutes = [10, 10, 10, None]
    if place == "entities":
        entities["minutes"] = minutes
    elif place == "one for all":
        body["request_context"] = {"minutes": 10.0}
    else:
        body[place] = {"minutes": minutes}
    answer = ask(client, **body)
    assert list(answer) == ["carrier", "excess"]
    assert answer["excess"]["values"] == [8.5, 8.5, None, "NaN" if "one" in place else None]


def test_an_entity_without_a_row_has_no_features_at_all(client: TestClient) -> None:
    features = ["delays:known", "delays:label"]
    answer = ask(client, features=features, entities={"carrier": ["B6", "XX", None]})
    assert answer["known"]["values"] == [0, None, None]
    assert answer["known"]["statuses"] == ["PRESENT", "NOT_FOUND", "NOT_FOUND"]
    assert answer["label"]["values"] == ["b6", None, None]


def test_stale_rows_read_as_null_where_the_view_says_so(served: Project) -> None:
    def at(clock: str) -> dict[str, Any]:
        def now() -> datetime:
            return instant(clock)

        with TestClient(create_app(served.catalog, clock=now)) as client:
            answer = ask(client, features=["strict:n"], entities={"carrier": ["AA", "XX"]})
            return dict(answer["n"])

    assert at("07-01T11:59:59.999999")["values"] == [3, None]
    late = at("07-01T12:00")
    assert late["values"] == [None, None]
    assert late["statuses"] == ["OUTSIDE_MAX_AGE", "NOT_FOUND"]


def test_a_sync_is_seen_by_the_next_request(served: Project, client: TestClient) -> None:
    body: dict[str, Any] = {"features": ["delays:n"], "entities": {"carrier": ["AA", "DL"]}}
    assert ask(client, **body)["n"]["values"] == [3, None]
    view = served.catalog.view("delays")
    served.build(view, carriers({"DL": (5, 5.0)}), instant("07-01T09:00"))
    sync(served.catalog, ["delays"])
    answer = ask(client, **body)["n"]
    assert answer["values"] == [None, 5]
    assert answer["event_timestamps"] == [EPOCH, "2013-07-01T09:00:00Z"]


def test_no_rows_asked(client: TestClient) -> None:
    assert ask(client, features=["delays:n"], entities={"carrier": []})["n"]["values"] == []


def test_many_rows_of_many_features(client: TestClient) -> None:
    names = ["AA", "B6", "XX"] * 1000
    features = ["delays:n", "delays:delay", "delays:known", "delays:label", "strict:n"]
    entities = {"carrier": names}
    answer = ask(client, features=features, entities=entities, full_feature_names=True)
    assert answer["delays__n"]["values"] == [3, None, None] * 1000
    assert answer["delays__label"]["values"] == ["aa", "b6", None] * 1000
