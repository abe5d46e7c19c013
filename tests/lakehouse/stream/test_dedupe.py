"""``dedupe_by``: an event that is sent again, by whoever, counts once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.errors import SpecError
from lakehouse.commit import commit_rows
from lakehouse.stream.run import open_reader
from tests.lakehouse.stream.world import TABLE, World, read_messages
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow


def test_an_event_sent_again_counts_once(tmp_path: Path, kafka: KafkaServer) -> None:
    world = World(tmp_path, kafka, dedupe_by=("id",))
    world.produce([1, 2, 2, 3])
    feed = world.catch_up()
    assert (feed.counts.rows, feed.counts.duplicates) == (3, 1)
    world.produce([3, 4, 1])
    kafka.produce(world.topic, [b'{"who": "x"}', b'{"who": "x"}'])  # like no other
    feed = world.catch_up()
    assert (feed.counts.rows, feed.counts.duplicates) == (3, 2)
    ids = [row["id"] for row in world.table().scan().to_arrow().to_pylist()]
    assert sorted(n or 0 for n in ids) == [0, 0, 1, 2, 3, 4]


def test_what_others_have_committed_in_between_counts_too(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    """Two processes with the same events from two partitions, and a file that was loaded."""
    world = World(tmp_path, kafka, partitions=2, dedupe_by=("id",))
    world.produce([1, 2, 3], 0)
    world.produce([2, 3, 4], 1)
    feeds = [world.feed(), world.feed()]
    readers = [open_reader([feed], f"{world.topic}-{n}") for n, feed in enumerate(feeds)]
    batches = [read_messages(reader, world.topic, 6) for reader in readers]
    # As a group would share them: a partition each.
    mine = [
        replace(taken, messages=[m for m in taken.messages if m.partition() == n], starts={n: None})
        for n, taken in enumerate(batches)
    ]
    try:
        for n in (0, 1):
            feeds[n]._new_rows(
                world.table(), feeds[n].read(mine[n].messages).rows
            )  # both look at the same head
        loaded = pa.table({"id": [4, 5], "who": ["file", "file"]})
        assert feeds[0].commit(readers[0], mine[0]) is not None
        commit_rows(world.lake, TABLE, loaded, mode="append")
        assert feeds[1].commit(readers[1], mine[1]) is not None
    finally:
        for reader in readers:
            reader.close()
    assert world.ids() == [1, 2, 3, 4, 5]
    assert feeds[1].counts.duplicates == 3


def test_a_column_that_is_not_there_is_named(tmp_path: Path, kafka: KafkaServer) -> None:
    world = World(tmp_path, kafka, dedupe_by=("ids",))
    world.produce([1])
    with pytest.raises(SpecError, match=r"names column 'ids'.*did you mean 'id'"):
        world.catch_up()
