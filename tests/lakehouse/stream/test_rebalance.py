"""Partitions that are dealt anew while a commit waits for its catalog: each event still counts once."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka as kafka
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from lakehouse.stream.run import Pace, open_reader, run_feeds
from lakehouse.stream.topics import TopicReader
from tests.lakehouse.stream.world import World
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow


@dataclass
class LockedCatalog:
    """A catalog that is locked while ``locked()`` says so, at the n-th look-up of a table and after."""

    catalog: Catalog
    locked: Callable[[int], bool]
    asked: int = 0

    def load_table(self, name: str) -> Table:
        self.asked += 1
        if self.locked(self.asked):
            raise sqlite3.OperationalError("database is locked")
        return self.catalog.load_table(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.catalog, name)


@contextmanager
def joining(world: World, topics: list[str], group: str) -> Iterator[Callable[[], bool]]:
    """Another member of a group joins it, and leaves when asked; gives whether it had a say."""
    dealt, leave = threading.Event(), threading.Event()

    def run() -> None:
        config = {**world.settings, "group.id": group, "partition.assignment.strategy": "range"}
        member = kafka.Consumer({**config, "enable.auto.commit": False})
        member.subscribe(topics, on_assign=lambda consumer, partitions: dealt.set())
        while not leave.is_set():
            member.poll(0.05)
        member.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield dealt.is_set
    finally:
        leave.set()
        thread.join()


def read_to_the_end(world: World, count: int) -> None:
    for _ in range(20):
        world.catch_up()
        if len(world.ids()) >= count:
            return


def test_a_partition_taken_and_given_back_inside_a_commit_loses_nothing(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    world = World(tmp_path, kafka)
    world.produce(range(10))
    feed, group = world.feed(), f"{world.topic}-group"
    reader = open_reader([feed], group)
    members: list[Any] = []

    def locked(asked: int) -> bool:
        """Until another one has joined, more has come, and it has gone again."""
        if not reader.positions and not members:
            return False  # when the partition is begun
        if not members:
            world.produce(range(10, 25))
            members.append(joining(world, [world.topic], group))
            members.append(members[0].__enter__())
            members.append(reader.dealt)
        if members[0] is not None and members[1]():
            members[0].__exit__(None, None, None)
            members[0] = None
        # Taken away, dealt, taken away and dealt again: this process alone has it at the end.
        return members[0] is not None or reader.dealt < members[2] + 2 or not reader._mine

    feed.catalog = LockedCatalog(feed.catalog, locked)  # type: ignore[assignment]
    try:
        pace = Pace(0.1, until_caught_up=True)
        run_feeds([feed], reader, pace, threading.Event(), lambda cycle: None)
    finally:
        reader.close()
    assert len(members) == 3, "no commit was waited for"
    assert world.ids() == list(range(25))
    world.produce(range(25, 30))
    read_to_the_end(world, 30)
    assert world.ids() == list(range(30))


def test_what_another_process_commits_inside_a_commit_of_another_topic_counts_once(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    """The second topic's batch is in hand while the first's waits and both are dealt anew."""
    first = World(tmp_path / "a", kafka, topic=f"a-{tmp_path.name}")
    second = World(tmp_path / "b", kafka, topic=f"b-{tmp_path.name}")
    first.produce(range(4))
    second.produce(range(5))
    feeds, group = [first.feed(), second.feed()], f"{first.topic}-group"
    reader = open_reader(feeds, group)
    before: list[int] = []

    def locked(asked: int) -> bool:
        if not reader.positions and not before:
            return False
        if not before:
            before.append(reader.dealt)
            second.catch_up()  # a zombie of another group, say
            before.append(1)
            with joining(first, [first.topic, second.topic], group) as joined:
                _wait_in(reader, joined)
        return reader.dealt < before[0] + 2 or not reader._mine

    while len(reader.collect(0.1, 100, 1 << 20)) < 2:
        pass
    feeds[0].catalog = LockedCatalog(feeds[0].catalog, locked)  # type: ignore[assignment]
    second.produce(range(5, 9))
    try:
        pace = Pace(0.1, until_caught_up=True)
        run_feeds(feeds, reader, pace, threading.Event(), lambda cycle: None)
    finally:
        reader.close()
    assert len(before) == 2, "no commit was waited for"
    read_to_the_end(first, 4)
    read_to_the_end(second, 9)
    assert first.ids() == list(range(4))
    assert second.ids() == list(range(9))


def _wait_in(reader: TopicReader, until: Callable[[], bool]) -> None:
    while not until():
        reader.keep_alive(0.1)


def test_restarting_with_much_in_the_clients_queue_loses_nothing(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    """What the client had fetched before is not taken for what comes after."""
    world = World(tmp_path, kafka, partitions=2)
    for partition in (0, 1):
        world.produce(range(partition, 6000, 2), partition)
    feed, draw = world.feed(), random.Random(7)
    reader = open_reader([feed], world.topic)
    try:
        while len(world.ids()) < 6000:
            taken = reader.collect(0.3, draw.randint(1, 900), 1 << 20).get(world.topic)
            if draw.random() < 0.4:
                reader.restart()
            if taken is not None:
                feed.commit(reader, taken)
    finally:
        reader.close()
    assert world.ids() == list(range(6000))


def test_processes_that_come_and_go_while_the_catalog_is_locked(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    """Two processes stay, a third one joins and is killed or stopped, beside a lock that is often held."""
    world = World(tmp_path, kafka, partitions=3)
    draw, sent, done = random.Random(3), 0, threading.Event()
    database = next(tmp_path.glob("**/*.db"))

    def hold() -> None:
        while not done.is_set():
            with sqlite3.connect(database, timeout=30) as connection:
                connection.execute("begin exclusive")
                done.wait(draw.choice([0.3, 1.5]))
                connection.rollback()
            done.wait(0.4)

    holder = threading.Thread(target=hold)
    holder.start()
    stay = [world.process(every=0.1) for _ in range(2)]
    try:
        for _ in range(3):
            guest = world.process(every=0.1)
            for _ in range(8):
                for partition in range(3):
                    world.produce(range(sent, sent + 7), partition)
                    sent += 7
                time.sleep(0.25)
            guest.signal(draw.choice([signal.SIGKILL, signal.SIGTERM]))
            guest.process.wait(90)
    finally:
        done.set()
        holder.join()
    world.wait_for(sent, 90)
    assert [process.stop(60) for process in stay] == [0, 0], [p.log for p in stay]
    assert world.ids() == list(range(sent))
