"""Messages that are not rows: to the dead-letter topic with the reason, or a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_specs.errors import DataError
from tests.lakehouse.stream.world import World
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow

_BAD = [b"{", b'{"id": 1.5}', b'{"id": 2, "more": 1}', None, b"\xff"]


def test_poison_goes_to_the_dead_letter_topic(tmp_path: Path, kafka: KafkaServer) -> None:
    world = World(tmp_path, kafka)
    world.produce([1])
    world.kafka.produce(world.topic, _BAD)
    world.produce([3])
    feed = world.catch_up()
    assert world.ids() == [1, 3]
    assert (feed.counts.rows, feed.counts.bad) == (2, 5)
    letters = world.kafka.read_all(f"{world.topic}.bad")
    assert [m.value() for m in letters] == _BAD
    headers = [dict(m.headers()) for m in letters]
    assert [h["forebay.offset"] for h in headers] == [b"1", b"2", b"3", b"4", b"5"]
    reasons = [h["forebay.reason"].decode() for h in headers]
    for reason, part in zip(
        reasons,
        ["not JSON", "does not hold '1.5'", "no column 'more'", "no value", "UTF-8"],
        strict=True,
    ):
        assert part in reason


def test_a_batch_of_nothing_but_poison_moves_on(tmp_path: Path, kafka: KafkaServer) -> None:
    world = World(tmp_path, kafka)
    world.kafka.produce(world.topic, [b"no"])
    world.catch_up()
    assert world.catch_up().counts.bad == 0
    assert world.ids() == []


def test_poison_stops_where_that_was_asked(tmp_path: Path, kafka: KafkaServer) -> None:
    world = World(tmp_path, kafka, on_bad_row="stop")
    world.kafka.produce(world.topic, [b'{"id": 1}', b'{"id": "x"}'])
    with pytest.raises(DataError, match=r"message 1 of partition 0 is not a row of raw.clicks"):
        world.catch_up()
    assert world.ids() == []


def test_poison_that_the_dead_letter_topic_does_not_take_is_not_passed_over(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    world = World(tmp_path, kafka)
    kafka.create(f"{world.topic}.bad", 1, **{"max.message.bytes": "2000"})
    world.produce([1])
    world.kafka.produce(world.topic, [b"{" * 5000])
    with pytest.raises(
        DataError, match=r"could not be sent on: .*too large.*nothing of this batch"
    ):
        world.catch_up()
    assert world.ids() == []
    kafka.delete(f"{world.topic}.bad")
    kafka.create(f"{world.topic}.bad", 1, **{"max.message.bytes": "2000000"})
    # As large as the client's own limit, and more with the headers.
    world.kafka.produce(
        world.topic, [b"{" * 999_000], producer=kafka.producer(**{"message.max.bytes": 2_000_000})
    )
    assert world.catch_up().counts.bad == 2
    assert [len(m.value()) for m in kafka.read_all(f"{world.topic}.bad")] == [5000, 999_000]
    assert world.ids() == [1]
