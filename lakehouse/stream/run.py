"""The loop of a stream process: collect, commit, notify, until it is asked to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyiceberg.table import Table

from lakehouse.stream.commit_batch import check_same_topic, set_fence
from lakehouse.stream.feed import Feed, reset_fence
from lakehouse.stream.topics import Taken, TopicReader

#: Up to so many messages, or bytes of them, are held before they are committed.
MOST_MESSAGES, MOST_BYTES = 50_000, 64 << 20


@dataclass(frozen=True)
class Pace:
    """How long a process collects between commits, and whether it ends by itself.

    Attributes:
        every: seconds between commits.
        once: end after one batch.
        until_caught_up: end once every partition was read to its end.
    """

    every: float = 1.0
    once: bool = False
    until_caught_up: bool = False


@dataclass
class Cycle:
    """What one round committed.

    Attributes:
        added: of each table the rows that this process added, and the table with them.
        messages: how many were read.
        collect_s, commit_s: seconds spent waiting for messages, and committing them.
    """

    added: dict[str, tuple[Table, pa.Table]] = field(default_factory=dict)
    messages: int = 0
    collect_s: float = 0.0
    commit_s: float = 0.0


def reset_feeds(feeds: Sequence[Feed], where: str | None) -> None:
    """Set where each source's topic is read from next, as `reset_fence` takes it; None leaves it.

    Raises:
        DataError: a topic is not there.
    """
    broker = feeds[0].broker
    ids = broker.topic_ids([f.entry.topic for f in feeds])
    for feed in feeds if where is not None else ():
        assert where is not None
        moved = reset_fence(feed.entry.topic, broker, ids[feed.entry.topic], where)
        set_fence(feed.catalog, feed.entry.table, moved)


def open_reader(feeds: Sequence[Feed], group: str, reset: str | None = None) -> TopicReader:
    """Join the group, after checking that each table was read from the topic of today.

    Args:
        reset: from where to go on instead of where the tables are, as `reset_fence` takes it.

    Raises:
        DataError: a topic is not there, or another one.
    """
    broker = feeds[0].broker
    by_topic = {f.entry.topic: f for f in feeds}
    reset_feeds(feeds, reset)
    ids = broker.topic_ids(list(by_topic))
    for topic, feed in by_topic.items():
        known = feed.fence()
        if known is not None:
            check_same_topic(known, topic, ids[topic], feed.entry.table)
    return TopicReader(broker, group, ids, lambda topic: by_topic[topic].fence())


def run_feeds(
    feeds: Sequence[Feed],
    reader: TopicReader,
    pace: Pace,
    stop: threading.Event,
    after: Callable[[Cycle], None],
) -> None:
    """Commit messages until ``stop`` is set; what has been read by then is committed too.

    Args:
        after: called after each round, even if nothing came.
    """
    by_topic = {f.entry.topic: f for f in feeds}
    while True:
        ending = stop.is_set()
        cycle = _cycle(by_topic, reader, 0.0 if ending else pace.every)
        after(cycle)
        if ending or (pace.once and cycle.messages):
            return
        if pace.until_caught_up and not cycle.messages and reader.caught_up():
            return


def leads(feeds: Sequence[Feed], reader: TopicReader) -> bool:
    """Whether this process does the group's work that only one process should do."""
    return reader.owns(min(f.entry.topic for f in feeds), 0)


def _cycle(by_topic: Mapping[str, Feed], reader: TopicReader, seconds: float) -> Cycle:
    cycle, begun = Cycle(), time.monotonic()
    found: dict[str, Taken] = reader.collect(seconds, MOST_MESSAGES, MOST_BYTES)
    cycle.collect_s = time.monotonic() - begun
    for topic, taken in found.items():
        if taken.dealt != reader.dealt:
            break  # partitions changed hands: the rest is read again, by whoever has them now
        done = by_topic[topic].commit(reader, taken)
        cycle.messages += len(taken.messages)
        if done is not None:
            cycle.added[by_topic[topic].entry.table] = done
    cycle.commit_s = time.monotonic() - begun - cycle.collect_s
    return cycle
