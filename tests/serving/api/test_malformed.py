"""No input makes a server fail: whatever is sent is answered, with 4xx where it is wrong, and counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgpack
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import Column, Feature
from serving.api import create_app
from serving.sync import sync
from tests.serving.project import Project, instant, make_view

pytestmark = pytest.mark.many_cases

FEAST, VECTORS, SERVICE = "/get-online-features", "/v1/vectors", "/v1/services/s/vectors"
#: Types of keys, of each of which there is a view.
KEYS = (
    "VARCHAR",
    "INTEGER",
    "UBIGINT",
    "HUGEINT",
    "BOOLEAN",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE",
    "DECIMAL(9,2)",
    "UUID",
)
#: Types of request values.
REQUESTS = ("DOUBLE", "FLOAT", "BIGINT", "DECIMAL(9,2)", "VARCHAR", "DATE", "TIMESTAMP")


def nested(depth: int, inside: str = "") -> str:
    return "[" * depth + inside + "]" * depth


#: JSON of single values, each of which is sent for every kind of key and of request value.
VALUES = (
    *("null", "true", "0", "-0", "1", "-1", "1.5", "-0.0", "1e308", "5e-324", "1e400", "-1e400"),
    *("127", "2147483648", "9007199254740993", "9223372036854775808", "18446744073709551616"),
    *("1" + "0" * 39, "1" + "0" * 400, "-" + "9" * 5000, "0e999999999", "1e-999999999"),
    *('""', '"AA"', '"\\u0000"', '"\\u0001"', '"\\ud83d\\ude00"', '"' + "x" * 100_000 + '"'),
    *(
        '"NaN"',
        '"Infinity"',
        '"-inf"',
        '"sNaN"',
        '"0e999999999999"',
        '"0E+999999999"',
        '"1e-999999"',
    ),
    *('"1_0"', '"٣"', '"0x10"', '" 1 "', '"+1"', '"--1"', '"1e5"'),
    *('"2013-07-01"', '"2013-13-01"', '"0001-01-01"', '"9999-12-31"', '"٢٠١٣-07-01"'),
    *('"2013-07-01T00:00:00Z"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"'),
    *('"2013-07-01T24:00:00"', '"2013-W27-1"', '"20130701T000000.1234567Z"'),
    *('"6ba7b810-9dad-11d1-80b4-00c04fd430c8"', '"{urn:uuid:}"'),
    *("[]", "{}", "[1]", '{"a":1}', "[null]", nested(200), nested(300), nested(1000)),
    '{"a":' * 500 + "1" + "}" * 500,
)


def some(*values: Any) -> tuple[Any, ...]:
    return values


AA = {"varchar": ["AA"]}
N = ["varchar:n"]

#: Bodies as Python values.
OBJECTS: tuple[Any, ...] = (
    *(None, True, 0, 1.5, "", "text", [], [[]], {}, {"": ""}),
    *(
        {"features": f, "entities": AA}
        for f in some(None, 1, "", "n", {}, [], [None], [1], [[]], [{}])
    ),
    *({"features": [f], "entities": AA} for f in some("", ":", "__", "::", "a:", ":n", "varchar:")),
    *(
        {"features": [f], "entities": AA}
        for f in some("varchar:n:n", "varchar__", "é:é", "\x00", "x" * 9999)
    ),
    {"features": N * 2, "entities": AA},
    {"features": N * 5000, "entities": AA},
    {"features": [f"varchar:{i}" for i in range(5000)], "entities": AA},
    *(
        {"features": N, "entities": e}
        for e in some(None, 1, "", [], {}, {"": [1]}, {"varchar": None})
    ),
    *(
        {"features": N, "entities": {"varchar": v}}
        for v in some(1, "AA", {}, [], [[]], [{}], ["AA", 1])
    ),
    {"features": N, "entities": {"varchar": ["AA"], "VARCHAR": ["AA"]}},
    {"features": N, "entities": {"varchar": ["AA"], "integer": []}},
    {"features": N, "entities": {"varchar": ["AA"], "integer": [[[1]]]}},
    {"features": N, "entities": {"varchar": ["AA"] * 100_000}},
    {"features": N, "entities": {**AA, "x" * 5000: [1]}},
    {"features": N, "entities": {f"c{i}": [1] for i in range(5000)}},
    *({"features": N, "entities": AA, "request_context": c} for c in some(1, "", [], [1], {"": 1})),
    *(
        {"features": N, "entities": AA, "request": c}
        for c in some(1, "", [], [1], {"": 1}, {"r0": {}})
    ),
    {"features": N, "entities": AA, "request": {"r0": [1, 2]}},
    {"features": N, "entities": AA, "request": {"varchar": ["B6"]}},
    {"features": N, "entities": AA, "request": {f"c{i}": 1 for i in range(5000)}},
    *({"features": N, "entities": AA, "full_feature_names": f} for f in some(0, 1, "true", [], {})),
    *({"features": N, "entities": AA, "ages": f} for f in some(0, 1, "true", [], {})),
    *({"features": N, "entities": AA, "decimal": f} for f in some(0, "", "float", [], {}, None)),
    *({"feature_service": s, "entities": AA} for s in some(0, "", "x" * 9999, [], {}, True, ["s"])),
    {"features": N, "feature_service": "s", "entities": AA},
    {"features": N, "entities": AA, "x" * 5000: 1},
    {"features": N, "entities": AA, **{f"field{i}": 1 for i in range(5000)}},
    {"entities": AA, "include_feature_view_version_metadata": "yes", "features": N},
)

#: Bodies as they are.
RAW: tuple[bytes, ...] = (
    *(b"", b" ", b"\0", b"\xff", b"\xef\xbb\xbf{}", b"{", b"}", b"[", b"nul", b"NaN", b"Infinity"),
    *(b'{"features"', b'{"features":', b'{"features":[', b"{'a':1}", b'{"a":1,}', b"{a:1}", b"1 2"),
    *(b'{"features": NaN, "entities": {}}', b'"\\ud800"', b'{"\\ud800": 1}', b'"\xed\xa0\x80"'),
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"entities":' + b"[" * 900 + b"]" * 900 + b"}"),
    b'{"features": ["varchar:n"], "features": 5, "entities": {"varchar": ["AA"]}}',
    b'{"features": ["varchar:n"], "entities": {"varchar": [5], "varchar": ["AA"]}}',
    b'{"features": ["varchar:n"], "entities": {"varchar": ["AA"]}} trailing',
    b'{"features": ["varchar:n"], "entities": {"varchar": ["AA"]}}'.decode().encode("utf-16"),
    b"entities=AA&features=varchar%3An",
    b"\x1f\x8b\x08\0\0\0\0\0",
)

#: Bodies that are not MessagePack objects, or strange ones.
PACKED: tuple[bytes, ...] = (
    *(b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"),
    *(
        b"\x91" * 5000,
        b"\x81\xa1a" * 5000,
        b"\x81\xa1\xff\x01",
        b"\x81\x01\x02",
        b"\x81\xc4\x01a\x01",
    ),
    *(msgpack.packb(v) for v in (None, 1, "text", [1], {}, {"entities": {b"varchar": ["AA"]}})),
    *(
        msgpack.packb({"features": N, "entities": {"varchar": [v]}})
        for v in (b"AA", float("nan"), float("inf"), 2**64 - 1, -(2**63), msgpack.ExtType(5, b"x"))
    ),
    msgpack.packb({"features": N, "entities": {"varchar": [msgpack.Timestamp(1, 5)]}}),
    msgpack.packb({"features": ["varchar:r0"], "entities": AA, "request": {"r0": float("nan")}}),
    msgpack.packb({"features": ["varchar:r1"], "entities": AA, "request": {"r1": float("inf")}}),
    msgpack.packb({"features": [b"varchar:n"], "entities": AA}),
    msgpack.packb({"features": N, "entities": AA, "ages": b"x", "decimal": b"text"}),
)

JSON_TYPE, PACKED_TYPE = "application/json", "application/msgpack"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    project = Project(tmp_path_factory.mktemp("malformed"))
    requests = tuple(Column(f"r{i}", kind) for i, kind in enumerate(REQUESTS))
    values = {
        "VARCHAR": pa.array(["AA"]),
        "INTEGER": pa.array([1], pa.int32()),
    }
    for kind in KEYS:
        name = kind.lower().partition("(")[0].replace(" ", "_")
        view = make_view(
            name,
            entities=(Column(name, kind),),
            stored=(Column("n", "BIGINT"),),
            features=(
                Feature("n", "BIGINT"),
                *(
                    Feature(f"r{i}", "VARCHAR" if r == "VARCHAR" else r, "", ["request", f"r{i}"])
                    for i, r in enumerate(REQUESTS)
                ),
            ),
            requests=requests,
        )
        project.add(view)
        if kind in values:
            rows = pa.table({name: values[kind], "n": pa.array([1], pa.int64())})
            project.build(view, rows, instant("07-01T08:00"))
    project.service("s", ("varchar", "n"))
    sync(project.catalog, ["varchar", "integer"])
    with TestClient(create_app(project.catalog), raise_server_exceptions=False) as made:
        yield made


def counted(client: TestClient) -> float:
    found = re.findall(
        r"forebay_requests_total\{status=\"\d+\"\} (\S+)", client.get("/metrics").text
    )
    return sum(map(float, found))


def check(client: TestClient, path: str, body: bytes, kind: str = JSON_TYPE, **headers: str) -> int:
    response = client.post(path, content=body, headers={"content-type": kind, **headers})
    status: int = response.status_code
    assert status < 500 or (status == 503 and "not in the online store" in response.text), (
        response.text[:500]
    )
    if status != 200:
        answer = response.json()
        answer = json.loads(answer) if isinstance(answer, str) else answer
        assert set(answer["error"]) == {"what", "where", "hint"}
        assert len(response.content) < 4000, "what was sent is not sent back at length"
    return status


@pytest.mark.parametrize("path", [FEAST, VECTORS, SERVICE])
def test_bodies_of_the_wrong_form(client: TestClient, path: str) -> None:
    before = counted(client)
    statuses = {check(client, path, json.dumps(body).encode()) for body in OBJECTS}
    assert counted(client) == before + len(OBJECTS)
    assert statuses - {200} <= {400, 404, 413, 422}
    for body in RAW:
        check(client, path, body)


@pytest.mark.parametrize("path", [VECTORS, SERVICE])
def test_packed_bodies(client: TestClient, path: str) -> None:
    for body in PACKED:
        check(client, path, body, PACKED_TYPE)
        check(client, path, body)
    for body in RAW:
        check(client, path, body, PACKED_TYPE)


@pytest.mark.parametrize("kind", KEYS)
def test_values_of_keys(client: TestClient, kind: str) -> None:
    name = kind.lower().partition("(")[0].replace(" ", "_")
    for value in VALUES:
        body = f'{{"features": ["{name}:n"], "entities": {{"{name}": [{value}]}}}}'.encode()
        for path in (FEAST, VECTORS):
            check(client, path, body)
    # A column that no view asked for has is read by nobody, and repeated by Feast's shape.
    other = "integer" if name == "varchar" else "varchar"
    for value in VALUES:
        text = (
            f'{{"features": ["{other}:n"], "entities": {{"{other}": [null], "{name}": [{value}]}}}}'
        )
        for path in (FEAST, VECTORS):
            check(client, path, text.encode())


@pytest.mark.parametrize("place", range(len(REQUESTS)))
def test_values_of_requests(client: TestClient, place: int) -> None:
    for value in VALUES:
        for field in ("request", "entities"):
            sent = {"entities": '"varchar": ["AA"]', "request": ""}
            sent[field] = ", ".join(filter(None, [sent[field], f'"r{place}": [{value}]']))
            body = (
                f'{{"features": ["varchar:r{place}"], "entities": {{{sent["entities"]}}}, '
                f'"request": {{{sent["request"]}}}}}'
            )
            for path in (FEAST, VECTORS):
                check(client, path, body.encode())


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "text/html"},
        {"accept": ";;;,,,"},
        {"accept": "*/*;q=x"},
        {"accept": "application/json;q=nan"},
        {"accept": "application/json;q=-1"},
        {"accept": "x" * 5000},
        {"content-type": ""},
        {"content-type": "application/msgpack; ;"},
        {"content-type": "multipart/form-data"},
        {"content-encoding": "gzip"},
        {"expect": "100-continue"},
    ],
)
def test_headers(client: TestClient, headers: dict[str, str]) -> None:
    body = json.dumps({"features": N, "entities": AA}).encode()
    kind = headers.pop("content-type", JSON_TYPE)
    for path in (FEAST, VECTORS):
        check(client, path, body, kind, **headers)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/features",
        "/v1/features",
        "/feature/delays/n",
        "/health",
        "/metrics",
        "/nothing",
        "/v1/services//vectors",
        "/v1/services/vectors",
    ],
)
@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X"]
)
def test_other_paths_and_methods(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path, content=b"{}")
    assert response.status_code < 500 or path == "/health"


def test_queries_of_the_page(client: TestClient) -> None:
    for query in (
        "%",
        "%ff",
        "%ED%A0%80",
        "q=%00",
        "q=" + "x" * 5000,
        "q=<script>",
        "q=a&q=b",
        "q[]=1",
    ):
        response = client.get(f"/?{query}")
        assert response.status_code == 200
        assert "<script>" not in response.text
