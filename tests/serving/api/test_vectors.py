"""What the endpoints of vectors answer, in each format."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgpack
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import Column, Feature
from feature_specs.sql_types import parse_type
from serving.api import create_app
from serving.keys import encode_key
from serving.state import ViewState
from serving.stores import StoredView, open_store
from tests.serving.project import Project, instant, make_view
from tests.serving.stored_rows import encode_row, encode_value

pytestmark = pytest.mark.many_cases

MSGPACK, ARROW = "application/msgpack", "application/vnd.apache.arrow.stream"
SERVICE = "/v1/services/arrival/vectors"
ENTITIES: dict[str, list[Any]] = {
    "carrier": ["AA", "Ü", "B6"],
    "origin": ["JFK", "JFK", None],
    "flight": [1, 2, 1],
}
ANSWER: dict[str, Any] = {
    "features": ["delays__n", "last__seen__gate"],
    "types": ["BIGINT", "VARCHAR"],
    "vectors": [[3, "A1"], [0, None], [None, None]],
    "absent": [
        {"row": 1, "view": "last__seen", "status": "OUTSIDE_MAX_AGE"},
        {"row": 2, "view": "last__seen", "status": "NOT_FOUND"},
    ],
}


@pytest.fixture
def early(served: Project) -> Iterator[TestClient]:
    """A client while the view `strict` is fresh, and nothing is expired."""
    with TestClient(create_app(served.catalog, clock=lambda: instant("07-01T11:00"))) as made:
        yield made


def test_vectors_of_a_service(client: TestClient) -> None:
    response = client.post(SERVICE, json={"entities": ENTITIES})
    assert response.headers["content-type"] == "application/json"
    assert response.json() == ANSWER
    aged = client.post(SERVICE, json={"entities": ENTITIES, "ages": True}).json()
    assert aged == {**ANSWER, "ages": {"delays": 14400.0, "last__seen": 14400.0}}


def test_vectors_of_features_in_any_order(client: TestClient) -> None:
    features = ["delays:excess", "last__seen:since_s", "delays:delay", "delays:n"]
    body = {"features": features, "entities": ENTITIES, "request": {"minutes": [10, 20, 30.5]}}
    answer = client.post("/v1/vectors", json=body).json()
    assert answer["features"] == [f.replace(":", "__") for f in features]
    assert answer["types"] == ["DOUBLE", "DOUBLE", "DOUBLE", "BIGINT"]
    assert answer["vectors"] == [
        [8.5, 6 * 3600.0, 1.5, 3],
        [20.5, None, -0.5, 0],
        ["NaN", None, "NaN", None],
    ]
    assert answer["absent"] == ANSWER["absent"]


def test_the_stored_rows_of_whole_views(early: TestClient) -> None:
    features = ["last__seen:gate", "strict:n", "strict:delay"]
    answer = early.post("/v1/vectors", json={"features": features, "entities": ENTITIES}).json()
    assert answer["vectors"] == [["A1", 3, 1.5], ["B2", 0, -0.5], [None, None, "NaN"]]
    one = {name: values[:1] for name, values in ENTITIES.items()}
    answer = early.post("/v1/vectors", json={"features": features, "entities": one}).json()
    assert (answer["vectors"], answer["absent"]) == ([["A1", 3, 1.5]], [])


@pytest.mark.parametrize("sent", ["json", "msgpack"])
def test_messagepack(early: TestClient, sent: str) -> None:
    body = {"features": ["strict:n", "strict:delay"], "entities": {"carrier": ["B6", "AA", "X"]}}
    headers = {"accept": MSGPACK}
    content = json.dumps(body).encode()
    if sent == "msgpack":
        headers["content-type"] = MSGPACK
        content = msgpack.packb(body)
    response = early.post("/v1/vectors", content=content, headers=headers)
    assert response.headers["content-type"] == MSGPACK
    answer = msgpack.unpackb(response.content)
    (_, delay), *others = answer["vectors"]
    assert math.isnan(delay) and others == [[3, 1.5], [None, None]]
    assert answer["absent"] == [{"row": 2, "view": "strict", "status": "NOT_FOUND"}]
    assert (answer["features"], answer["types"]) == (
        ["strict__n", "strict__delay"],
        ["BIGINT", "DOUBLE"],
    )


def test_arrow(client: TestClient) -> None:
    body = {"entities": ENTITIES, "ages": True}
    response = client.post(SERVICE, json=body, headers={"accept": ARROW})
    assert response.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(response.content).read_all()
    assert table.to_pydict() == {
        "delays__n": [3, 0, None],
        "last__seen__gate": ["A1", None, None],
    }
    assert table.schema.types == [pa.int64(), pa.string()]
    notes = json.loads(table.schema.metadata[b"forebay"])
    assert notes == {"absent": ANSWER["absent"], "ages": {"delays": 14400.0, "last__seen": 14400.0}}


#: A value of each type, and what it is in JSON, in MessagePack and in Arrow where that differs.
VALUES: dict[str, tuple[Any, ...]] = {
    "BOOLEAN": (True, True),
    "BIGINT": (-(2**63), -(2**63)),
    "UBIGINT": (2**64 - 1, 2**64 - 1),
    "HUGEINT": (2**100, 2**100, str(2**100), str(2**100)),
    "FLOAT": (0.5, 0.5),
    "DOUBLE": (math.inf, "Infinity", math.inf, math.inf),
    "DECIMAL(9,2)": (Decimal("-1.50"), "-1.50", "-1.50", Decimal("-1.50")),
    "VARCHAR": ('Zürich "\0"', 'Zürich "\0"'),
    "BLOB": (b"\0\xff", "AP8=", "AP8=", b"\0\xff"),
    "UUID": (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    "DATE": (date(2013, 7, 1), "2013-07-01", "2013-07-01", date(2013, 7, 1)),
    "TIME": (time(1, 2, 3), "01:02:03.000000", "01:02:03.000000", time(1, 2, 3)),
    "TIMESTAMP": (
        datetime(2013, 7, 1, 8),
        "2013-07-01T08:00:00.000000",
        "2013-07-01T08:00:00.000000",
        datetime(2013, 7, 1, 8),
    ),
    "TIMESTAMP WITH TIME ZONE": (
        datetime(2013, 7, 1, 8, tzinfo=UTC),
        "2013-07-01T08:00:00.000000Z",
        "2013-07-01T08:00:00.000000Z",
        datetime(2013, 7, 1, 8, tzinfo=UTC),
    ),
    "DECIMAL(9,2)[]": (
        [Decimal("1.50"), None],
        ["1.50", None],
        ["1.50", None],
        [Decimal("1.50"), None],
    ),
    "HUGEINT[]": ([2**100, None], [2**100, None], [str(2**100), None], [str(2**100), None]),
    'STRUCT("a b" DOUBLE, c VARCHAR[])': ({"a b": 1.0, "c": ["x"]}, {"a b": 1.0, "c": ["x"]}),
    "MAP(VARCHAR, DECIMAL(3,1))": (
        [("k", Decimal("1.5"))],
        [["k", "1.5"]],
        [["k", "1.5"]],
        [("k", Decimal("1.5"))],
    ),
}


@pytest.fixture
def typed(project: Project) -> Iterator[TestClient]:
    """A view with a feature of each type: a row of values, and a row of nulls."""
    columns = tuple(Column(f"f{i}", name) for i, name in enumerate(VALUES))
    features = tuple(Feature(c.name, c.type) for c in columns)
    view = make_view("typed", stored=columns, features=features)
    project.add(view)
    project.service("everything", *(("typed", f.name) for f in features))
    rows = [
        [encode_value(parse_type(name), value[0]) for name, value in VALUES.items()],
        ["null"] * len(VALUES),
    ]
    store = open_store(project.catalog.online)
    pairs = [
        (encode_key([key]), encode_row(None, row)) for key, row in zip("ab", rows, strict=True)
    ]
    at = int(instant("07-01T08:00").timestamp() * 1e6)
    state = ViewState(at, view.semantic_hash, 2)
    store.write(StoredView.of(view), pairs, (), state.dumps(), replace=True)
    store.close()
    with TestClient(create_app(project.catalog)) as client:
        yield client


@pytest.mark.parametrize("media_type", ["application/json", MSGPACK, ARROW])
def test_every_type(typed: TestClient, media_type: str) -> None:
    body = {"entities": {"carrier": ["a", "b"]}}
    headers = {"accept": media_type}
    response = typed.post("/v1/services/everything/vectors", json=body, headers=headers)
    at = {"application/json": 1, MSGPACK: 2, ARROW: 3}[media_type]
    expected = [value[at] if at < len(value) else value[1] for value in VALUES.values()]
    if media_type == ARROW:
        batch = pa.ipc.open_stream(response.content).read_all()
        rows = list(map(list, zip(*batch.to_pydict().values(), strict=True)))
    elif media_type == MSGPACK:
        rows = msgpack.unpackb(response.content)["vectors"]
    else:
        rows = response.json()["vectors"]
    assert rows == [expected, [None] * len(VALUES)]


def test_decimals_as_numbers(typed: TestClient) -> None:
    body = {"entities": {"carrier": ["a", "b"]}, "decimal": "number"}
    text = typed.post("/v1/services/everything/vectors", json=body).text
    row = json.loads(text, parse_float=Decimal)["vectors"][0]
    by_type = dict(zip(VALUES, row, strict=True))
    assert by_type["DECIMAL(9,2)"] == Decimal("-1.50") and ",-1.50," in text
    assert by_type["DECIMAL(9,2)[]"] == [Decimal("1.50"), None]
    assert by_type["MAP(VARCHAR, DECIMAL(3,1))"] == [["k", Decimal("1.5")]]
    assert by_type["VARCHAR"] == 'Zürich "\0"'


AA = {"carrier": ["AA"]}
MISTAKES: list[tuple[str, dict[str, Any], int, str]] = [
    ("/v1/services/arival/vectors", {"entities": AA}, 404, "did you mean 'arrival'?"),
    (SERVICE, {"entities": AA}, 422, "entity 'origin' of last__seen is missing"),
    (SERVICE, {"entities": {"carier": ["AA"]}}, 404, "did you mean 'carrier'?"),
    (SERVICE, {"features": ["delays:n"], "entities": ENTITIES}, 422, "no field 'features'"),
    (SERVICE, {}, 422, "'entities' is missing"),
    ("/v1/vectors", {"entities": AA}, 422, "'features' is not a list of names"),
    ("/v1/vectors", {"features": ["delays:n"], "entities": {"carrier": []}}, 422, "no entity"),
    (
        "/v1/vectors",
        {"features": ["delays:n"], "entities": {"carrier": ["AA"] * 1001}},
        413,
        "more than 1000",
    ),
    ("/v1/vectors", {"features": ["delays:n", "delays__n"], "entities": AA}, 422, "ask for each"),
    ("/v1/vectors", {"features": ["delays:n"], "entities": AA, "ages": 1}, 422, "not a boolean"),
    ("/v1/vectors", {"features": ["delays:n"], "entities": AA, "decimal": "x"}, 422, "'number'"),
    ("/v1/vectors", {"features": ["delays:n"], "entities": AA, "decimal": []}, 422, '"number"'),
    (
        "/v1/vectors",
        {"features": ["delays:n"], "entities": AA, "request": {"carrier": ["B6"]}},
        422,
        "'carrier' is an entity of delays, not a request value",
    ),
    (
        "/v1/vectors",
        {"features": ["delays:n"], "entities": AA, "request": {"Carrier": "B6"}},
        422,
        "is an entity of delays",
    ),
    ("/v1/vectors", {"features": ["delays:excess"], "entities": AA}, 422, 'send "request"'),
]


@pytest.mark.parametrize(("path", "body", "status", "text"), MISTAKES)
def test_mistakes(
    client: TestClient, path: str, body: dict[str, Any], status: int, text: str
) -> None:
    for _ in range(2):  # a cached shape answers the same
        response = client.post(path, json=body)
        assert (response.status_code, set(response.json())) == (status, {"error", "detail"})
        assert text.replace("'number'", '"number"') in response.json()["detail"]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"{", "application/json"),
        (b"\x81", MSGPACK),
        (b"\xc1", MSGPACK),
        (msgpack.packb([1]), MSGPACK),
        (msgpack.packb({"entities": {b"carrier": ["AA"]}}), MSGPACK),
        (b"\x91" * 100_000, MSGPACK),
    ],
)
def test_bodies_that_cannot_be_read(client: TestClient, content: bytes, media_type: str) -> None:
    response = client.post(SERVICE, content=content, headers={"content-type": media_type})
    assert response.status_code == 400, response.text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        (f"text/html, {MSGPACK};q=0.5, application/*;q=0.1", MSGPACK),
        (f"application/json;q=0.4, {ARROW}", ARROW),
        ("text/html", None),
        (f"{MSGPACK};q=0", None),
    ],
)
def test_the_accepted_format_is_answered(
    client: TestClient, accept: str | None, media_type: str | None
) -> None:
    headers = {} if accept is None else {"accept": accept}
    response = client.post(SERVICE, json={"entities": ENTITIES}, headers=headers)
    if media_type is None:
        assert response.status_code == 406
    else:
        assert response.headers["content-type"] == media_type


def test_another_method(client: TestClient) -> None:
    assert client.get(SERVICE).status_code == 405
