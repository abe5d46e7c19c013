"""A topic that Spark reads: each event once, and what the embedded stream would make of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_specs.errors import DataError
from lakehouse.commit import commit_rows
from lakehouse.engines.spark import SparkEngine
from lakehouse.stream.fence import FENCE, read_fence
from lakehouse.stream.read_on_spark import Message
from lakehouse.stream.spark_feed import SparkFeed
from tests.lakehouse.read_arrow import read_arrow
from tests.lakehouse.stream.spark_world import (
    MORE,
    catch_up_on_spark,
    run_until_killed,
    spark_over,
)
from tests.lakehouse.stream.test_avro_topics import ROW, encode
from tests.lakehouse.stream.world import EMPTY, TABLE, World
from tests.servers.kafka import KafkaServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_BAD = [b"{", b'{"id": 1.5}', b'{"id": 2, "more": 1}', None, b"\xff", b'{"id": 7, "id": 7}']


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    """A session; a stream asks it for no table, so that it serves all worlds."""
    folder = tmp_path_factory.mktemp("spark")
    (folder / "lake").mkdir()
    with spark_over(folder) as engine:
        yield engine


@pytest.fixture
def world(tmp_path: Path, kafka: KafkaServer) -> World:
    return World(tmp_path, kafka, partitions=2)


def test_killed_at_its_commit_and_gone_on_by_either(spark: SparkEngine, world: World) -> None:
    world.produce(range(10))
    world.catch_up()
    world.produce(range(10, 20))
    assert run_until_killed(world, "before") == "committed\n"
    assert world.ids() == list(range(20))  # what it had in hand is not there
    world.produce(range(20, 30), partition=1)
    assert run_until_killed(world, "after") == "committed\ncommitted\n"
    assert world.ids() == [*range(30), *MORE["before"], *MORE["after"]]
    world.produce(range(30, 40))
    world.catch_up()
    world.produce(range(40, 50), partition=1)
    feed = catch_up_on_spark(spark, world)
    assert feed.feed.counts.rows == 10
    assert world.ids() == [*range(50), *MORE["before"], *MORE["after"]]
    said = world.table().current_snapshot()
    assert said is not None and said.summary is not None
    assert said.summary.additional_properties[FENCE] == world.table().properties[FENCE]
    world.catch_up()
    catch_up_on_spark(spark, world)
    assert world.table().current_snapshot() == said  # nothing is left to read


def test_the_fence_is_the_embedded_streams(spark: SparkEngine, world: World) -> None:
    """Offsets and the digest of the last message, by which each sees that the log is its own."""
    (world.folder / "other").mkdir()
    other = World(world.folder / "other", world.kafka, topic=world.topic, made=True)
    world.kafka.produce(world.topic, [b'{"id": 1, "who": "\xc3\xa4"}'], partition=1)
    world.produce([2, 3])
    world.catch_up()
    catch_up_on_spark(spark, other)
    ours, theirs = read_fence(world.table()), read_fence(other.table())
    assert ours is not None and theirs is not None and ours.topic_id == theirs.topic_id
    assert {p: (at.offset, at.last) for p, at in ours.places.items()} == {
        p: (at.offset, at.last) for p, at in theirs.places.items()
    }
    assert other.ids() == [1, 2, 3]


def test_what_is_no_row_goes_where_the_embedded_stream_sends_it(
    spark: SparkEngine, world: World
) -> None:
    (world.folder / "other").mkdir()
    other = World(world.folder / "other", world.kafka, topic=world.topic, made=True)
    world.produce([1])
    world.kafka.produce(world.topic, _BAD)
    world.kafka.produce(world.topic, [b'{"id": 3.0, "who": null}', b'{"who": "x\\u0000"}'])
    feed = world.catch_up()
    embedded = world.kafka.read_all(f"{world.topic}.bad")
    on_spark = catch_up_on_spark(spark, other).feed
    letters = world.kafka.read_all(f"{world.topic}.bad")[len(embedded) :]
    assert len(embedded) >= len(_BAD)
    assert [(m.value(), m.key(), m.headers()) for m in letters] == [
        (m.value(), m.key(), m.headers()) for m in embedded
    ]
    assert (on_spark.counts.rows, on_spark.counts.bad) == (feed.counts.rows, feed.counts.bad)
    assert read_arrow(other.table()).to_pylist() == read_arrow(world.table()).to_pylist()


def test_an_overtaken_batch_is_dropped_and_read_again(
    spark: SparkEngine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce(range(5))
    aside = SparkFeed._land
    overtaken: list[bool] = []

    def land(self: SparkFeed, *given: object) -> object:
        if not overtaken:
            overtaken.append(True)
            world.catch_up()
            world.produce(range(5, 9), partition=1)
        return aside(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(SparkFeed, "_land", land)
    feed = catch_up_on_spark(spark, world)
    assert feed.feed.counts.overtaken == 1
    assert world.ids() == list(range(9))


def test_a_column_that_comes_while_a_batch_is_read_is_read_with_it(
    spark: SparkEngine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce(range(3))
    aside = SparkFeed._land
    changed: list[bool] = []

    def land(self: SparkFeed, *given: object) -> object:
        if not changed:
            changed.append(True)
            wider = EMPTY.append_column("more", EMPTY["id"])
            commit_rows(world.lake, TABLE, wider, mode="append", columns="add")
            world.kafka.produce(world.topic, [b'{"id": 3, "more": 4}'])
        return aside(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(SparkFeed, "_land", land)
    catch_up_on_spark(spark, world)
    assert world.ids() == list(range(4))
    assert sorted(read_arrow(world.table())["more"].to_pylist(), key=str) == [4, None, None, None]


def test_a_topic_created_anew_stops(spark: SparkEngine, world: World) -> None:
    world.produce(range(4))
    catch_up_on_spark(spark, world)
    world.kafka.delete(world.topic)
    world.kafka.create(world.topic, 2)
    world.produce(range(100, 110))
    with pytest.raises(DataError, match=r"re-created.*--reset earliest"):
        catch_up_on_spark(spark, world)
    assert world.ids() == list(range(4))


def test_avro_is_read_by_the_schema_of_a_file(
    spark: SparkEngine, tmp_path: Path, kafka: KafkaServer
) -> None:
    world = World(tmp_path, kafka, format="avro", schema=json.dumps(ROW))
    kafka.produce(world.topic, [encode({"id": 1, "who": "ä"}), b"\x02", b'{"id": 2}'])
    counts = catch_up_on_spark(spark, world).feed.counts
    assert (counts.rows, counts.bad) == (1, 2)
    assert read_arrow(world.table()).to_pylist() == [{"id": 1, "who": "ä"}]


def test_a_message_is_as_the_client_has_it() -> None:
    message = Message((1, 7), (b"k", None), (("h", b"v"),))
    assert (message.partition(), message.offset()) == (1, 7)
    assert (message.key(), message.value(), message.headers()) == (b"k", None, [("h", b"v")])
