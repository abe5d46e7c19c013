"""What a process holds stays bounded, however much the topic has and however long a commit takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.stream.run import open_reader
from tests.lakehouse.stream.world import World
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow

_MB = 1 << 20
_COUNT, _MOST = 120, 4 * _MB
#: The last message may go over the limit, and one comes each time that the client is asked.
_OVER = 2 * _MB


def test_no_more_is_held_than_the_limit(tmp_path: Path, kafka: KafkaServer) -> None:
    world = World(tmp_path, kafka)
    values: list[bytes | None] = [n.to_bytes(4, "big") + bytes(_MB // 2) for n in range(_COUNT)]
    kafka.produce(world.topic, values)
    reader = open_reader([world.feed()], world.topic)
    seen: list[int] = []
    try:
        while len(seen) < _COUNT:
            taken = reader.collect(0.2, 10_000, _MOST).get(world.topic)
            if taken is None:
                continue
            held = sum(len(m.value()) for m in taken.messages)
            assert held <= _MOST + _OVER
            # A commit that takes long: the group is kept, and no more is taken.
            reader.keep_alive(0.3)
            again = reader.collect(0, 0, 0)[world.topic]
            assert sum(len(m.value()) for m in again.messages) <= held + _OVER
            seen += [int.from_bytes(m.value()[:4], "big") for m in taken.messages]
            reader.settle(world.topic, taken)
            assert reader._held <= _OVER
    finally:
        reader.close()
    assert seen == list(range(_COUNT))
