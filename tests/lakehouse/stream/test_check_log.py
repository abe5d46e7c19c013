"""Whether a topic's log is still the one that a table was read from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import confluent_kafka
import pytest

from feature_specs.errors import DataError
from lakehouse.stream.broker import Broker
from lakehouse.stream.check_log import check_log
from lakehouse.stream.fence import Fence, Place, read_fence
from tests.lakehouse.stream.world import World
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, kafka: KafkaServer) -> World:
    made = World(tmp_path, kafka, partitions=2)
    made.produce(range(3))
    made.produce(range(3, 5), partition=1)
    made.catch_up()
    return made


def _fence(world: World) -> Fence:
    found = read_fence(world.table())
    assert found is not None and found.places.keys() == {0, 1}
    return found


def test_the_log_that_was_read_passes(world: World) -> None:
    world.produce(range(5, 9))
    check_log(Broker(world.settings), _fence(world))


@pytest.mark.parametrize("place", [Place(2, None, "0123456789abcdef"), Place(3)])
def test_another_message_and_a_shorter_log_are_told(world: World, place: Place) -> None:
    fence = _fence(world)
    changed = replace(fence, places={**fence.places, 1: place})
    with pytest.raises(DataError, match=r"partition 1 .* was read up to offset \d.*--reset 1:"):
        check_log(Broker(world.settings), changed)


def test_deleted_messages_are_counted(world: World) -> None:
    world.produce(range(5, 12))
    gone = confluent_kafka.TopicPartition(world.topic, 0, 6)
    world.kafka.admin.delete_records([gone])[gone].result(20)
    with pytest.raises(DataError, match=r"3 messages are lost"):
        check_log(Broker(world.settings), _fence(world))
