"""Requests in Feast's shape, whoever sends them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from tests.serving.project import Project

PATH = "/get-online-features"


@pytest.fixture(scope="module")
def http(project: Project) -> Iterator[TestClient]:
    with TestClient(create_app(project.catalog)) as made:
        yield made


def results(http: TestClient, **body: Any) -> dict[str, Any]:
    response = http.post(PATH, json=body)
    assert response.status_code == 200, response.text
    answer = json.loads(response.content, parse_float=str)  # a number as it is written
    names = answer["metadata"]["feature_names"]
    assert len(names) == len(set(names))
    return dict(zip(names, (r["values"] for r in answer["results"]), strict=True))


def refused(http: TestClient, **body: Any) -> dict[str, Any]:
    response = http.post(PATH, json=body)
    assert response.status_code in (404, 422), response.text
    told: dict[str, Any] = response.json()
    return told


def test_decimals_are_numbers_with_all_their_digits_or_text(http: TestClient) -> None:
    features = ["types:price", "types:total", "types:prices", "types:double"]
    asked: dict[str, Any] = {"features": features, "entities": {"code": ["a", "b"]}}
    numbers = results(http, **asked)
    assert numbers["price"] == ["12.50", None] and numbers["total"] == [2**60, None]
    assert numbers["prices"] == [["1.50", "2.25"], None]
    assert results(http, **asked, decimal="number") == numbers
    raw = http.post(PATH, json={**asked, "decimal": "text"}).json()
    values = [r["values"] for r in raw["results"]][1:]
    assert values == [["12.50", None], [str(2**60), None], [["1.50", "2.25"], None], [0.1, None]]
    told = refused(http, **asked, decimal="float")
    assert told["error"]["where"] == "decimal" and "'number'" in told["error"]["what"]


def test_errors_have_both_forms(http: TestClient) -> None:
    asked: dict[str, Any] = {"features": ["ride:n"], "entities": {"driver_id": [1]}}
    told = refused(http, **asked)
    assert set(told) == {"error", "detail", "module", "class", "message"}
    assert told["class"] == "FeatureViewNotFoundException"
    assert told["error"]["hint"] == "did you mean 'rides'?"
    # Feast's client reads a string that holds the same.
    response = http.post(PATH, json={**asked, "include_feature_view_version_metadata": False})
    assert response.status_code == 404
    assert json.loads(response.json()) == told


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("include_feature_view_version_metadata", "yes", "not a boolean"),
        ("include_feature_view_version", True, "did you mean"),
        ("full_feature_names", 1, "not a boolean"),
    ],
)
def test_fields_that_are_not_taken(http: TestClient, field: str, value: Any, text: str) -> None:
    asked: dict[str, Any] = {"features": ["rides:n"], "entities": {"driver_id": [1]}}
    results(http, **asked)  # a plan for the same names is known now
    response = http.post(PATH, json={**asked, field: value})
    assert response.status_code == 422 and text in response.text


@pytest.mark.parametrize("field", ["request_context", "request"])
def test_an_entity_is_sent_among_the_entities_only(http: TestClient, field: str) -> None:
    asked: dict[str, Any] = {"features": ["rides:score"], "entities": {"driver_id": [1]}}
    for body in (
        {**asked, field: {"driver_id": [2]}},  # in both places
        {**asked, field: {"DRIVER_ID": 2}},
        {**asked, "entities": {"code": ["a"]}, field: {"driver_id": [2]}},  # there only
        {**asked, field: {"code": ["a"]}},  # an entity of a view that is not asked
        {"features": ["late_v2:n"], "entities": {"driver_id": [1]}, field: {"code": ["a"]}},
    ):
        told = refused(http, **body)
        assert told["error"]["where"].startswith(f"{field}."), told
        assert "values" not in json.dumps(told["error"]["what"])


def test_a_request_value_that_no_view_has_is_refused(http: TestClient) -> None:
    asked: dict[str, Any] = {"features": ["rides:n"], "entities": {"driver_id": [1]}}
    told = refused(http, **asked, request_context={"bonsu": 1})
    assert told["error"]["hint"] == "did you mean 'bonus'?"
    told = refused(
        http,
        features=["rides:total"],
        entities={"driver_id": [1], "bonus": [1]},
        request_context={"bonus": [2]},
    )
    assert "is sent in 'entities' and in 'request_context'" in told["error"]["what"]
    # That of a view, or of a feature, that is not asked does no harm.
    assert results(http, **asked, request_context={"bonus": 1})["n"] == [3]


def test_a_request_value_named_like_an_entity_of_another_view(http: TestClient) -> None:
    """As in a training set, one column stands for both; but a request value never for the entity."""
    total = {"features": ["rides:total"], "entities": {"driver_id": [1]}}
    assert results(http, **total, request_context={"bonus": 2})["total"] == ["2.5"]
    both: dict[str, Any] = {"features": ["rides:total", "by_bonus:n"]}
    sent = {"driver_id": [1], "bonus": [1]}
    answer = results(http, **both, entities=sent)
    assert (answer["total"], answer["n"]) == (["1.5"], [4])
    told = refused(http, **both, entities={"driver_id": [1]}, request_context={"bonus": [1]})
    assert told["error"]["where"] == "request_context.bonus"


def test_names_that_fold_to_one(http: TestClient) -> None:
    asked: dict[str, Any] = {"features": ["rides:n"]}
    told = refused(http, **asked, entities={"driver_id": [1], "Driver_ID": [2]})
    assert "one name" in told["error"]["what"]
    told = refused(
        http,
        features=["rides:total"],
        entities={"driver_id": [1]},
        request_context={"bonus": 1},
        request={"BONUS": 2},
    )
    assert "bonus" in told["detail"].lower()


def test_a_full_name_that_may_be_two_features(http: TestClient) -> None:
    told = refused(http, features=["late_v2__n__m"], entities={"carrier": ["AA"]})
    assert "late_v2:n__m or late_v2__n:m" in told["error"]["what"]
    assert results(http, features=["late_v2__n:m"], entities={"carrier": ["AA"]})["m"] == [9]
    one = {"driver_id": [1], "code": ["a"]}
    assert results(http, features=["late_v2__n"], entities=one)["n"] == [7]


def test_a_feature_named_like_an_entity_needs_its_full_name(http: TestClient) -> None:
    """Else a reader by names would take one for the other."""
    asked: dict[str, Any] = {"features": ["types:day"], "entities": {"code": ["a"], "day": [1]}}
    told = refused(http, **asked)
    assert told["class"] == "FeatureNameCollisionError"
    assert told["error"]["hint"] == "set full_feature_names to true"
    assert results(http, **asked, full_feature_names=True)["types__day"] == ["2013-07-01"]


@pytest.mark.parametrize(
    ("key", "score"),
    [(1, "0.5"), ("1", "0.5"), ("-1", None), (" +01 ", "0.5"), (2.0, "-1.0"), (None, None)],
)
def test_an_integer_key_is_cast_where_it_can_mean_one_key(
    http: TestClient, key: Any, score: str | None
) -> None:
    asked: dict[str, Any] = {"features": ["rides:score"], "entities": {"driver_id": [key]}}
    assert results(http, **asked)["score"] == [score]


@pytest.mark.parametrize(
    "key", ["1.0", "", "one", "\u0661", "1_0", 1.5, True, float(2**53), [1], {"a": 1}, "9" * 20]
)
def test_other_values_of_an_integer_key_are_refused(http: TestClient, key: Any) -> None:
    told = refused(http, features=["rides:score"], entities={"driver_id": [1, key]})
    assert told["error"]["where"] == "entities.driver_id" and told["class"] == "FeastError"


def test_a_text_key_is_cast_from_an_integer_only(http: TestClient) -> None:
    asked: dict[str, Any] = {"features": ["types:small"], "entities": {"code": ["a", 5]}}
    assert results(http, **asked)["small"] == [-5, None]
    for key in (5.0, True, [5]):
        told = refused(http, features=["types:small"], entities={"code": [key]})
        assert told["error"]["where"] == "entities.code"


def test_versions_of_views_are_told_on_demand(http: TestClient) -> None:
    asked: dict[str, Any] = {
        "features": ["late@V2:n", "rides@latest:score"],
        "entities": {"driver_id": [1], "code": ["a"]},
    }
    assert results(http, **asked)["n"] == [7]
    told = http.post(PATH, json={**asked, "include_feature_view_version_metadata": True}).json()
    assert told["metadata"]["feature_view_metadata"] == [
        {"name": "late_v2", "version": 2},
        {"name": "rides"},
    ]
