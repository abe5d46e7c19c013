"""Feast's own client, version 0.67, whose online store is our server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.feast.client import FeastClient, FeastError
from tests.serving.feast.conftest import TYPES

pytestmark = pytest.mark.slow

ONE = [{"driver_id": 1}]


@pytest.mark.parametrize("name", TYPES)
def test_a_value_of_each_type(client: FeastClient, name: str) -> None:
    rows = [{"code": "a"}, {"code": "b"}, {"code": "nobody"}]
    answer = client.ask([f"types:{name}"], rows=rows)
    expected = TYPES[name][3]
    assert answer["values"] == {"code": ["a", "b", "nobody"], name: [expected, None, None]}
    assert type(answer["values"][name][0]) is type(expected)
    present, null, not_found = 1, 2, 3  # FieldStatus of Feast's protobuf
    assert answer["statuses"][name] == [present, null, not_found]
    # pandas makes floats of integers beside a null, so one entity alone.
    assert client.ask([f"types:{name}"], rows=rows[:1])["frame"][name] == [expected]


def test_what_the_client_itself_does_not_take(client: FeastClient) -> None:
    """An empty list says no type, and Feast's client has no schema to look into."""
    assert client.ask(["rides:tags"], rows=[{"driver_id": 2}])["values"]["tags"] == [["x"]]
    with pytest.raises(FeastError, match="infer value type") as raised:
        client.ask(["rides:tags"], rows=ONE)
    assert raised.value.kind == "TypeError"


def test_all_types_of_many_entities(client: FeastClient) -> None:
    rows = [{"code": "a"}, {"code": "b"}] * 200
    answer = client.ask([f"types:{name}" for name in TYPES], rows=rows)
    for name, (*_, expected) in TYPES.items():
        assert answer["values"][name] == [expected, None] * 200


def test_names_are_short_or_full(client: FeastClient) -> None:
    features = ["rides:score", "late_v2:n"]
    rows = [{"driver_id": 1, "code": "a"}, {"driver_id": 1, "code": "b"}]
    values = {"driver_id": [1, 1], "code": ["a", "b"]}
    short = client.ask(features, rows=rows)
    assert short["values"] == {**values, "score": [0.5, 0.5], "n": [7, None]}
    full = client.ask(features, rows=rows, full=True)
    assert full["values"] == {**values, "rides__score": [0.5, 0.5], "late_v2__n": [7, None]}
    assert full["statuses"]["late_v2__n"] == [1, 4]  # outside of its ttl by a microsecond


@pytest.mark.parametrize("full", [False, True])
def test_a_service(client: FeastClient, full: bool) -> None:
    answer = client.ask(service="both", rows=[{"driver_id": 1, "code": "a"}], full=full)
    names = ["rides__score", "late_v2__n"] if full else ["score", "n"]
    assert answer["values"] == {"driver_id": [1], "code": ["a"], names[0]: [0.5], names[1]: [7]}
    assert list(answer["frame"]) == ["driver_id", "code", *names]


@pytest.mark.parametrize(
    "asked",
    [
        {"features": ["rides:n", "late_v2:n"]},
        {"features": ["rides:n", "rides:n"]},
        {"features": ["rides:n", "rides:N"], "full": True},
        {"service": "clash"},
        {"features": ["late_v2:n__m", "late_v2__n:m"], "full": True},
    ],
)
def test_names_that_collide(client: FeastClient, asked: dict[str, Any]) -> None:
    rows = [{"driver_id": 1, "code": "a", "carrier": "AA"}]
    with pytest.raises(FeastError, match="Duplicate features named") as raised:
        client.ask(**asked, rows=rows)
    assert (raised.value.module, raised.value.kind) == ("feast.errors", "FeatureNameCollisionError")


def test_a_collision_that_full_names_solve_says_so(client: FeastClient) -> None:
    rows = [{"driver_id": 1, "code": "a"}]
    with pytest.raises(FeastError, match="full_feature_names"):
        client.ask(service="clash", rows=rows)
    full = client.ask(service="clash", rows=rows, full=True)
    assert (full["values"]["rides__n"], full["values"]["late_v2__n"]) == ([3], [7])


@pytest.mark.parametrize(
    ("asked", "kind", "text"),
    [
        ({"features": ["ride:n"]}, "FeatureViewNotFoundException", "did you mean 'rides'"),
        ({"features": ["rides@v7:n"]}, "FeatureViewNotFoundException", "'rides_v7'"),
        ({"features": ["rides:nn"]}, "FeastObjectNotFoundException", "did you mean 'n'"),
        ({"service": "bot"}, "FeatureServiceNotFoundException", "did you mean 'both'"),
        (
            {"features": ["rides:n"], "rows": [{"driver": 1}]},
            "EntityNotFoundException",
            "driver_id",
        ),
        (
            {"features": ["rides:n"], "rows": [{"code": "a"}]},
            "FeastError",
            "'driver_id' of rides is",
        ),
        ({"features": ["rides:total"]}, "RequestDataNotFoundInEntityRowsException", "bonus"),
        ({"features": ["rides:n"], "rows": [{"driver_id": "x"}]}, "FeastError", "BIGINT, not 'x'"),
        ({"features": ["rides:n"], "rows": [{"driver_id": 1.5}]}, "FeastError", "BIGINT, not 1.5"),
        (
            {"features": ["rides:n"], "rows": [{"driver_id": True}]},
            "FeastError",
            "BIGINT, not True",
        ),
        ({"features": ["types:day"], "rows": [{"code": 1.0}]}, "FeastError", "VARCHAR, not 1.0"),
    ],
)
def test_mistakes_are_exceptions_of_feast(
    client: FeastClient, asked: dict[str, Any], kind: str, text: str
) -> None:
    with pytest.raises(FeastError, match=text) as raised:
        client.ask(**{"rows": ONE, **asked})
    assert (raised.value.module, raised.value.kind) == ("feast.errors", kind)
    assert "Hint: " in str(raised.value)


def test_keys_are_cast_as_feast_casts_them(client: FeastClient) -> None:
    """Text and whole floats for integers, integers for text; what is echoed is what was sent."""
    sent: list[Any] = [1, "1", " +01 ", 1.0, "2", None, "-3"]
    answer = client.ask(["rides:score"], rows=[{"driver_id": key} for key in sent])
    assert answer["values"]["score"] == [0.5, 0.5, 0.5, 0.5, -1.0, None, None]
    numbers: list[dict[str, Any]] = [{"code": 5}, {"code": "a"}]
    codes = client.ask(["types:small"], rows=numbers)
    assert codes["values"]["small"] == [None, -5]


def test_a_cast_key_in_a_read_time_feature(client: FeastClient) -> None:
    keys: list[Any] = ["1", 1.0]
    answer = client.ask(["rides:id_plus"], rows=[{"driver_id": key} for key in keys])
    assert answer["values"]["id_plus"] == [4, 4]


def test_read_time_features_take_request_values_from_the_rows(client: FeastClient) -> None:
    rows: list[dict[str, Any]] = [{"driver_id": 1, "bonus": 2.5}, {"driver_id": 9, "bonus": 1}]
    answer = client.ask(["rides:total"], rows=rows)
    assert answer["values"]["total"] == [3.0, None]


def test_versions_of_views(client: FeastClient) -> None:
    rows = [{"driver_id": 1, "code": "a"}]
    asked = ["rides@latest:score", "late@v2:n"]
    answer = client.ask(asked, rows=rows, versions=True)
    assert (answer["values"]["score"], answer["values"]["n"]) == ([0.5], [7])
    assert answer["versions"] == [["rides", 0], ["late_v2", 2]]
    assert client.ask(["rides:score"], rows=rows)["versions"] == []


def test_types_of_a_data_frame(client: FeastClient) -> None:
    features = ["types:big", "types:price", "types:flag", "types:text"]
    kinds = client.ask(features, rows=[{"code": "a"}])["types"]
    assert (kinds["big"], kinds["price"], kinds["flag"]) == ("int64", "float64", "bool")


def test_the_read_of_one_view_by_its_schema(client: FeastClient) -> None:
    """Feast's own `online_read`, where the client's schema says what type a value is."""
    schema = {
        "price": "Float64",
        "big": "Int64",
        "text": "String",
        "flag": "Bool",
        "total": "Int64",
    }
    found = client.read("types", "code", ["a", "b"], schema)
    assert {name: text.partition(":")[0] for name, text in found[0].items()} == {
        "price": "double_val",
        "big": "int64_val",
        "text": "string_val",
        "flag": "bool_val",
        "total": "int64_val",
    }
    assert found[0]["price"] == "double_val: 12.5"
    assert found[1] == dict.fromkeys(schema, "")
