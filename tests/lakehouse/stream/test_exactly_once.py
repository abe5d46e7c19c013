"""Each event counts once, whatever happens to the broker, the process, the topic or the table."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
import time
import uuid
from pathlib import Path

import confluent_kafka
import pytest
from pyiceberg.table.snapshots import Operation, Summary

from feature_specs.errors import DataError
from lakehouse.data_files.manifests import entries_of, manifests_of
from lakehouse.lake import load_table
from lakehouse.pyiceberg_internals import ReplaceFiles, SteadyTransaction, write_files
from lakehouse.stream.fence import FENCE, read_fence
from lakehouse.stream.run import Pace, open_reader, run_feeds
from tests.lakehouse.read_arrow import read_arrow
from tests.lakehouse.stream.world import TABLE, World, read_messages, summaries
from tests.servers.kafka import KafkaServer, kafka_server

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, kafka: KafkaServer) -> World:
    return World(tmp_path, kafka)


def test_rows_and_fence_are_one_commit(world: World) -> None:
    world.produce(range(5))
    feed = world.catch_up()
    assert world.ids() == list(range(5)) and feed.counts.rows == 5
    fence = read_fence(world.table())
    assert fence is not None and fence.topic == world.topic and fence.places[0].offset == 5
    said = world.table().current_snapshot()
    assert said is not None and said.summary is not None
    assert said.summary.additional_properties[FENCE] == world.table().properties[FENCE]
    assert feed.broker.topic_ids([world.topic])[world.topic] == fence.topic_id


def test_goes_on_where_the_table_is_and_not_where_the_group_is(world: World) -> None:
    world.produce(range(10))
    world.catch_up()
    # Somebody sets the group back, or it forgets.
    world.kafka.admin.delete_consumer_groups([world.topic])[world.topic].result(20)
    world.produce(range(10, 15))
    world.catch_up()
    assert world.ids() == list(range(15))


def test_a_topic_created_anew_stops_and_resets(world: World) -> None:
    world.produce(range(4))
    world.catch_up()
    world.kafka.delete(world.topic)
    world.kafka.create(world.topic)
    world.produce(range(100, 110))
    with pytest.raises(DataError, match=r"re-created.*--reset earliest"):
        world.catch_up()
    assert world.ids() == list(range(4))
    world.catch_up(reset="earliest")
    world.catch_up()
    assert world.ids() == [*range(4), *range(100, 110)]


def test_a_topic_created_anew_under_a_running_process_writes_nothing_of_it(world: World) -> None:
    world.produce(range(4))
    process = world.process()
    world.wait_for(4)
    world.kafka.delete(world.topic)
    world.kafka.create(world.topic)
    world.produce(range(100, 120))
    assert process.process.wait(60) != 0
    assert "re-created" in process.log
    assert world.ids() == list(range(4))


def test_deleted_messages_stop_and_reset(world: World) -> None:
    world.produce(range(3))
    world.catch_up()
    world.produce(range(3, 10))
    gone = confluent_kafka.TopicPartition(world.topic, 0, 6)
    world.kafka.admin.delete_records([gone])[gone].result(20)
    with pytest.raises(DataError, match=r"3 messages are lost.*--reset earliest"):
        world.catch_up()
    world.catch_up(reset="earliest")
    assert world.ids() == [0, 1, 2, 6, 7, 8, 9]


def test_another_topic_for_the_table_stops(world: World) -> None:
    world.produce(range(3))
    world.catch_up()
    world.topic += "-b"
    world.kafka.create(world.topic)
    with pytest.raises(DataError, match=r"were read from topic"):
        world.catch_up()
    world.produce(range(50, 52))
    world.catch_up(reset="latest")
    world.produce(range(52, 54))
    world.catch_up()
    assert world.ids() == [0, 1, 2, 52, 53]


def test_a_log_that_was_cut_off_stops_and_resets(tmp_path: Path) -> None:
    with kafka_server() as own:
        world = World(tmp_path, own)
        world.produce(range(20))
        world.catch_up()
        own.stop()
        shutil.rmtree(own.folder / "data" / f"{world.topic}-0")
        own.start()
        world.produce(range(100, 130))  # further than what was read before
        with pytest.raises(DataError, match=r"cut off|rewound"):
            world.catch_up()
        assert world.ids() == list(range(20))
        world.catch_up(reset="earliest")
        assert world.ids() == [*range(20), *range(100, 130)]


def test_a_broker_that_restarts_is_waited_for(tmp_path: Path) -> None:
    with kafka_server() as own:
        world = World(tmp_path, own, partitions=2)
        world.produce(range(10))
        process = world.process()
        world.wait_for(10)
        own.kill()
        time.sleep(1)
        own.start()
        world.produce(range(10, 30), partition=1)
        world.wait_for(30)
        assert process.stop() == 0
        assert world.ids() == list(range(30))


def test_two_processes_of_a_group_share_partitions(world: World) -> None:
    two = World(world.folder / "two", world.kafka, partitions=4)
    first, second = two.process(), two.process()
    sent = 0
    deadline = time.monotonic() + 60
    while not ("Counts" in first.log and "Counts" in second.log):
        assert time.monotonic() < deadline, "one of them gets nothing"
        for partition in range(4):
            two.produce(range(sent, sent + 10), partition)
            sent += 10
        time.sleep(0.2)
    two.wait_for(sent)
    assert first.stop() == 0 and second.stop() == 0
    assert two.ids() == list(range(sent))


def test_a_zombie_commits_nothing_that_another_has(world: World) -> None:
    world.produce(range(10))
    zombie = world.process(every=3.0)
    world.wait_for(10)
    world.produce(range(10, 20))
    time.sleep(1.0)  # the next ten are in its hands
    zombie.signal(signal.SIGSTOP)
    other = world.process()
    world.wait_for(20, 60)
    world.produce(range(20, 30))
    world.wait_for(30)
    zombie.signal(signal.SIGCONT)
    time.sleep(4)
    world.produce(range(30, 40))
    world.wait_for(40)
    assert zombie.stop() == 0 and other.stop() == 0
    assert world.ids() == list(range(40))


def test_a_batch_that_was_read_twice_is_committed_once(world: World) -> None:
    """Two readers with the very same messages in hand: the one that commits later drops them."""
    world.produce(range(6))
    feeds = [world.feed(), world.feed()]
    readers = [open_reader([feed], f"{world.topic}-{n}") for n, feed in enumerate(feeds)]
    try:
        batches = [read_messages(reader, world.topic, 6) for reader in readers]
        assert feeds[0].commit(readers[0], batches[0]) is not None
        assert feeds[1].commit(readers[1], batches[1]) is None
        assert feeds[1].counts.overtaken == 1
        world.produce(range(6, 8))
        run_feeds(
            [feeds[1]], readers[1], Pace(0.1, until_caught_up=True), threading.Event(), _nothing
        )
    finally:
        for reader in readers:
            reader.close()
    assert world.ids() == list(range(8))


def test_a_compaction_between_two_batches_changes_nothing(world: World) -> None:
    for start in (0, 5, 10):
        world.produce(range(start, start + 5))
        world.catch_up()
    compact(world)
    world.produce(range(15, 20))
    world.catch_up()
    assert world.ids() == list(range(20))
    assert [s.operation.value for s in summaries(world.table())][-2:] == ["replace", "append"]


def test_snapshots_that_expire_take_no_offsets_with_them(world: World) -> None:
    for start in (0, 5):
        world.produce(range(start, start + 5))
        world.catch_up()
    compact(world)  # whose summary has no fence
    table = world.table()
    head = table.metadata.current_snapshot_id
    old = [s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id != head]
    table.maintenance.expire_snapshots().by_ids(old).commit()
    assert len(world.table().metadata.snapshots) == 1
    world.produce(range(10, 12))
    world.catch_up()
    assert world.ids() == list(range(12))


def test_a_table_that_was_rolled_back_is_read_on_from_where_its_rows_end(world: World) -> None:
    world.produce(range(5))
    world.catch_up()
    before = world.table().metadata.current_snapshot_id
    assert before is not None
    world.produce(range(5, 9))
    world.catch_up()
    with world.table().manage_snapshots() as change:
        change.rollback_to_snapshot(before)
    assert world.ids() == list(range(5))
    world.catch_up()
    assert world.ids() == list(range(9))


def test_killed_at_any_time(world: World) -> None:
    sent = 0
    for round_ in range(int(os.environ.get("FOREBAY_KILL_ROUNDS", "6"))):
        process = world.process(every=0.05)
        for _ in range(12):
            world.produce(range(sent, sent + 25))
            sent += 25
            time.sleep(0.1 + 0.01 * round_)
        process.kill()
    world.catch_up()
    assert world.ids() == list(range(sent))


def test_older_snapshots_are_forgotten_but_for_those_in_use(world: World) -> None:
    feed = world.feed()
    world.produce(range(3))
    world.catch_up()
    held = world.table().metadata.current_snapshot_id
    assert held is not None
    feed.kept = lambda: {held}
    reader = open_reader([feed], world.topic)
    try:
        for n in range(3, 8):
            world.produce([n])
            run_feeds([feed], reader, Pace(0.05, once=True), threading.Event(), _nothing)
    finally:
        reader.close()
    assert held in {s.snapshot_id for s in world.table().metadata.snapshots}
    assert world.ids() == list(range(8))


class _Compaction(ReplaceFiles):
    """What Trino's optimize and Spark's rewrite commit, and pyiceberg has no word for."""

    def _summary(self, snapshot_properties: dict[str, str] = {}) -> Summary:  # noqa: B006
        return (
            super()
            ._summary(snapshot_properties)
            .model_copy(update={"operation": Operation.REPLACE})
        )


def compact(world: World) -> None:
    """Write all rows into one file by another engine's hands: a snapshot without our words."""
    table = load_table(world.lake, TABLE)
    rows = read_arrow(table)
    transaction = SteadyTransaction(table)
    with _Compaction(Operation.OVERWRITE, transaction, table.io) as replace:
        for manifest in manifests_of(table, table.metadata.current_snapshot_id):
            for entry in entries_of(table, manifest):
                replace.replaced.append(entry)
                replace.delete_data_file(entry.data_file)
        for file in write_files(transaction, rows, uuid.uuid4(), itertools.count()):
            replace.append_data_file(file)
    transaction.commit_transaction()


def _nothing(cycle: object) -> None:
    """Listen to nothing."""
