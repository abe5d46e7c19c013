"""A lake with one table of events, a topic that feeds it, and processes that read it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.stream_options import StreamEntry
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table
from lakehouse.stream.broker import Broker
from lakehouse.stream.feed import Feed
from lakehouse.stream.run import Cycle, Pace, open_reader, run_feeds
from lakehouse.stream.topics import Taken, TopicReader
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.read_arrow import read_arrow
from tests.servers.kafka import KafkaServer

TABLE = "raw.clicks"
_MODULE = "tests.lakehouse.stream.world"
EMPTY = pa.table({"id": pa.array([], pa.int64()), "who": pa.array([], pa.string())})


def values_of(ids: Iterable[int]) -> list[bytes]:
    """A message of each id."""
    return [json.dumps({"id": n, "who": f"w{n % 7}"}).encode() for n in ids]


@dataclass
class World:
    """A topic of its own, and the table that it feeds."""

    folder: Path
    kafka: KafkaServer
    partitions: int = 1
    on_bad_row: str = "dead_letter"
    dedupe_by: tuple[str, ...] = ()
    format: str = "json"
    schema: str = ""
    more: dict[str, str] = field(default_factory=dict)
    topic: str = field(default_factory=lambda: f"clicks-{uuid.uuid4().hex[:8]}")
    made: bool = False  # whether the topic is there

    def __post_init__(self) -> None:
        if not self.made:
            self.kafka.create(self.topic, self.partitions)
        commit_rows(self.lake, TABLE, EMPTY, mode="append")

    @property
    def lake(self) -> Catalog:
        return local_lake(self.folder)

    @property
    def entry(self) -> StreamEntry:
        return StreamEntry(
            "raw.clicks",
            TABLE,
            self.topic,
            on_bad_row=self.on_bad_row,
            dead_letter_topic=f"{self.topic}.bad",
            dedupe_by=self.dedupe_by,
            format=self.format,
            schema=self.schema,
        )

    def feed(self) -> Feed:
        # What a zombie has in hand is committed as late as it likes.
        return Feed(self.entry, self.lake, Broker(self.settings))

    @property
    def settings(self) -> dict[str, str]:
        given = {"bootstrap.servers": self.kafka.address, "session.timeout.ms": "6000"}
        return {**given, **self.more}

    def produce(self, ids: Iterable[int], partition: int = 0) -> None:
        self.kafka.produce(self.topic, values_of(ids), partition=partition)

    def catch_up(
        self, *, reset: str | None = None, after: Callable[[Cycle], None] | None = None
    ) -> Feed:
        """Stream in this process until the topic's end."""
        feed = self.feed()
        reader = open_reader([feed], self.topic, reset)
        try:
            pace = Pace(0.1, until_caught_up=True)
            run_feeds([feed], reader, pace, threading.Event(), after or (lambda cycle: None))
        finally:
            reader.close()
        return feed

    def process(self, every: float = 0.2) -> StreamProcess:
        """A process that streams until it is stopped."""
        return StreamProcess(self, every)

    def table(self) -> Table:
        return load_table(self.lake, TABLE)

    def ids(self) -> list[int]:
        """The ids in the table, sorted, as often as they are there."""
        found: list[int] = read_arrow(self.table()).column("id").to_pylist()
        return sorted(found)

    def wait_for(self, count: int, seconds: float = 40) -> None:
        """Wait until the table has so many rows."""
        deadline = time.monotonic() + seconds
        while len(self.ids()) < count:
            assert time.monotonic() < deadline, f"{len(self.ids())} rows of {count}"
            time.sleep(0.1)


class StreamProcess:
    """A process of its own that streams a world's topic."""

    def __init__(self, world: World, every: float) -> None:
        self._log = world.folder / f"stream-{uuid.uuid4().hex[:6]}.log"
        given = [str(world.folder), world.kafka.address, world.topic, world.on_bad_row, str(every)]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", _MODULE, *given],
                stdout=log,
                stderr=log,
                env={**os.environ},
            )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 30) -> int:
        """Ask it to end, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    @property
    def log(self) -> str:
        return self._log.read_text()


def read_messages(reader: TopicReader, topic: str, count: int) -> Taken:
    """What a reader has in hand of a topic, once it is so much."""
    for _ in range(300):
        taken = reader.collect(0.1, count, 1 << 30).get(topic)
        if taken is not None and len(taken.messages) >= count:
            return taken
    raise AssertionError(f"the broker does not give {count} messages")


def _stream(arguments: Sequence[str]) -> None:
    """What `StreamProcess` runs."""
    folder, address, topic, on_bad_row, every = arguments
    config = {"bootstrap.servers": address, "session.timeout.ms": "6000"}
    entry = StreamEntry(
        "raw.clicks", TABLE, topic, on_bad_row=on_bad_row, dead_letter_topic=f"{topic}.bad"
    )
    feed = Feed(entry, local_lake(Path(folder)), Broker(config))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    reader = open_reader([feed], topic)

    def tell(cycle: Cycle) -> None:
        if cycle.messages:
            print(cycle.messages, feed.counts, flush=True)

    try:
        run_feeds([feed], reader, Pace(float(every)), stop, tell)
    finally:
        reader.close()


def summaries(table: Table) -> list[Any]:
    """What each snapshot says of itself, in order."""
    return [
        s.summary for s in sorted(table.metadata.snapshots, key=lambda s: s.sequence_number or 0)
    ]


if __name__ == "__main__":
    _stream(sys.argv[1:])
