"""What the client says of a partition that was taken away meanwhile, without a broker."""

from __future__ import annotations

from typing import Any, cast

import confluent_kafka as kafka
import pytest

from feature_specs.errors import ForebayError
from lakehouse.stream.broker import Broker
from lakehouse.stream.fence import Place
from lakehouse.stream.topics import Position, TopicReader


class _Client:
    """A consumer of one partition, whose log begins at offset 5."""

    def subscribe(self, topics: list[str], **callbacks: object) -> None:
        assert topics == ["orders"]

    def get_watermark_offsets(self, place: object, timeout: float) -> tuple[int, int]:
        return 5, 9

    def consumer(self, group: str) -> _Client:
        return self

    def topic_ids(self, topics: list[str]) -> dict[str, str]:
        return dict.fromkeys(topics, "id")


class _Lost:
    """That the offset which was asked for is not there."""

    def error(self) -> Any:
        return kafka.KafkaError(kafka.KafkaError.OFFSET_OUT_OF_RANGE)

    def topic(self) -> str:
        return "orders"

    def partition(self) -> int:
        return 0


@pytest.fixture
def reader() -> TopicReader:
    client = cast("Broker", _Client())
    return TopicReader(client, "group", {"orders": "id"}, lambda topic: None)


def test_of_a_partition_that_was_taken_away_nothing_is_lost(reader: TopicReader) -> None:
    reader._take(_Lost())
    assert reader._fault is None


def test_of_one_that_is_read_it_is_a_fault_which_stays(reader: TopicReader) -> None:
    reader.positions["orders", 0] = Position(2, Place(2))
    reader._take(_Lost())
    fault = reader._fault
    assert isinstance(fault, ForebayError) and "orders" in str(fault)
    reader.positions.clear()
    reader._take(_Lost())
    assert reader._fault is fault
