"""Topics of Avro: with the schema in a file, and with one that each message names of a registry."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fastavro
import pytest

from feature_specs.errors import DataError
from tests.lakehouse.read_arrow import read_arrow
from tests.lakehouse.stream.world import World
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow

ROW: dict[str, Any] = {
    "type": "record",
    "name": "Click",
    "fields": [{"name": "id", "type": "long"}, {"name": "who", "type": ["null", "string"]}],
}
LATER = {**ROW, "fields": [*ROW["fields"], {"name": "more", "type": "long"}]}


def encode(row: dict[str, Any], schema: dict[str, Any] = ROW, number: int | None = None) -> bytes:
    """A message, plain or as Confluent's serializer frames it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), row)
    return (b"" if number is None else b"\0" + number.to_bytes(4, "big")) + out.getvalue()


class Registry(ThreadingHTTPServer):
    """What Confluent's registry answers to ``GET /schemas/ids/{id}``.

    Attributes:
        broken: how many of the next questions are answered with an error of the server.
        asked: the paths that were asked for.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.schemas: dict[int, dict[str, Any]] = {}
        self.broken = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        login = base64.b64encode(b"user:secret").decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            self._say(401, {"error_code": 40101})
        elif self.server.broken:
            self.server.broken -= 1
            self._say(503, {"error_code": 50003})
        elif (found := self.server.schemas.get(int(self.path.rpartition("/")[2]))) is None:
            self._say(404, {"error_code": 40403, "message": "Schema not found"})
        else:
            self._say(200, found)

    def _say(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = Registry()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def with_registry(folder: Path, kafka: KafkaServer, registry: Registry, login: str) -> World:
    more = {
        "schema.registry.url": registry.url,
        "schema.registry.basic.auth.user.info": login,
    }
    return World(folder, kafka, format="avro", more=more)


def test_plain_avro_by_the_schema_of_a_file(tmp_path: Path, kafka: KafkaServer) -> None:
    world = World(tmp_path, kafka, format="avro", schema=json.dumps(ROW))
    rows = [{"id": 2**62 + n, "who": None if n % 2 else f"w{n}"} for n in range(5)]
    values = [encode(row) for row in rows]
    kafka.produce(world.topic, [*values[:3], b'{"id": 1}', None, *values[3:]])
    feed = world.catch_up()
    assert (feed.counts.rows, feed.counts.bad) == (5, 2)
    found = read_arrow(world.table()).to_pylist()
    assert sorted(found, key=lambda r: r["id"]) == rows
    letters = kafka.read_all(f"{world.topic}.bad")
    assert [m.value() for m in letters] == [b'{"id": 1}', None]
    assert b"not of its Avro schema" in dict(letters[0].headers())["forebay.reason"]


def test_each_message_by_the_registry_schema_that_it_names(
    tmp_path: Path, kafka: KafkaServer, registry: Registry
) -> None:
    world = with_registry(tmp_path, kafka, registry, "user:secret")
    registry.schemas[1] = {"schema": json.dumps(ROW)}
    registry.schemas[2] = {"schema": json.dumps(LATER), "schemaType": "AVRO"}
    registry.schemas[3] = {"schema": "{}", "schemaType": "JSON"}
    registry.broken = 3  # which is waited for, and no message's fault
    good = [encode({"id": n, "who": "x"}, number=1) for n in range(4)]
    bad = [
        encode({"id": 8, "who": "x", "more": 1}, LATER, 2),
        encode({"id": 9, "who": "x"}, number=3),
        encode({"id": 10, "who": "x"}, number=4),
        encode({"id": 11, "who": "x"}),
    ]
    kafka.produce(world.topic, [*good[:2], *bad, *good[2:]])
    feed = world.catch_up()
    assert (feed.counts.rows, feed.counts.bad) == (4, 4)
    assert world.ids() == [0, 1, 2, 3]
    assert registry.asked.count("/schemas/ids/1") == 4  # once it had answered, never again
    reasons = [
        dict(m.headers())["forebay.reason"].decode() for m in kafka.read_all(f"{world.topic}.bad")
    ]
    for reason, part in zip(
        reasons,
        ["no column 'more'", "JSON and not Avro", "no schema 4", "does not begin with the id"],
        strict=True,
    ):
        assert part in reason


def test_a_registry_that_refuses_stops_it_and_loses_nothing(
    tmp_path: Path, kafka: KafkaServer, registry: Registry
) -> None:
    world = with_registry(tmp_path, kafka, registry, "user:wrong")
    registry.schemas[1] = {"schema": json.dumps(ROW)}
    kafka.produce(world.topic, [encode({"id": 1, "who": "x"}, number=1)])
    with pytest.raises(DataError, match=r"refuses: HTTP 401.*basic.auth.user.info"):
        world.catch_up()
    world.more["schema.registry.basic.auth.user.info"] = "user:secret"
    assert world.catch_up().counts.rows == 1
    assert world.ids() == [1]


def test_a_profile_without_a_registry_says_what_to_write(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    world = World(tmp_path, kafka, format="avro")
    world.produce([1])
    with pytest.raises(DataError, match=r"no schema registry. Hint: add such as `schema.registry"):
        world.catch_up()
