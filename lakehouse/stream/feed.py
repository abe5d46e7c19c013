"""One source: commit its topic's messages to its table, each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka as kafka
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.errors import DataError
from feature_specs.stream_options import StreamEntry
from lakehouse.lake import load_table
from lakehouse.stream.broker import Broker
from lakehouse.stream.commit_batch import Batch, BatchCommit, OvertakenError
from lakehouse.stream.dead_letters import DeadLetters
from lakehouse.stream.fence import Fence, Place, read_fence
from lakehouse.stream.persist import persist
from lakehouse.stream.row_reader import row_reader
from lakehouse.stream.rows import BadRow, ReadRows, RowReader
from lakehouse.stream.schema_registry import SchemaRegistry
from lakehouse.stream.seen_events import SeenEvents
from lakehouse.stream.topics import Taken, TopicReader, created_anew


@dataclass
class Counts:
    """Counts of what has become of a source's messages.

    Attributes:
        rows: committed.
        bad: sent to the dead-letter topic.
        duplicates: left out, since the table had an event of their ``dedupe_by``.
        overtaken: batches that were dropped, since another process had committed first.
        newest_ms: the latest of the committed messages' times, in milliseconds since the epoch.
    """

    rows: int = 0
    bad: int = 0
    duplicates: int = 0
    commits: int = 0
    overtaken: int = 0
    newest_ms: int = 0


@dataclass
class Feed:
    """Commits the messages of one topic."""

    entry: StreamEntry
    catalog: Catalog
    broker: Broker
    kept: Callable[[], set[int]] = set
    counts: Counts = field(default_factory=Counts)
    _reader: RowReader | None = None
    _schema: int = -1
    _letters: DeadLetters | None = None
    _seen: SeenEvents | None = None

    def fence(self) -> Fence | None:
        """How far the table has read the topic."""
        return read_fence(load_table(self.catalog, self.entry.table))

    def read(self, messages: Sequence[Any]) -> ReadRows:
        """Read messages as rows with the table's current columns."""
        return self._read(messages, load_table(self.catalog, self.entry.table))

    def _read(self, messages: Sequence[Any], table: Table) -> ReadRows:
        if self._reader is None or self._schema != table.metadata.current_schema_id:
            self._schema = table.metadata.current_schema_id
            self._reader = self._row_reader(table)
        return self._reader.read([m.value() for m in messages])

    def _row_reader(self, table: Table) -> RowReader:
        if self.entry.format == "json" or self.entry.schema:
            return row_reader(self.entry, table.schema())
        registry = SchemaRegistry(self.broker.config, self.entry.name)
        return row_reader(self.entry, table.schema(), registry.schema)

    def commit(self, reader: TopicReader, taken: Taken) -> tuple[Table, pa.Table] | None:
        """Commit a batch; None where another process did, and the reader starts over.

        Returns the table and the rows that were added. Whose the partitions are by then does not
        matter: the table's fence says whether the batch is what comes next.

        Raises:
            DataError: a message is no row and the source says ``on_bad_row: stop``, or the topic
                is another one than before.
        """
        topic, messages, wait = self.entry.topic, taken.messages, reader.keep_alive
        table = persist(lambda: load_table(self.catalog, self.entry.table), wait)
        read = persist(lambda: self._read(messages, table), wait)
        # Asked for after they were read: before, the topic might have been replaced in between.
        if persist(lambda: self.broker.topic_ids([topic]), wait)[topic] != reader.topic_ids[topic]:
            raise created_anew(topic)
        if read.bad:
            self.set_aside(messages, read.bad)
        batch = Batch(topic, reader.topic_ids[topic], read.rows, taken.starts, taken.ends)
        committing = BatchCommit(
            self.catalog,
            self.entry.table,
            batch,
            rows_for=self._new_rows,
            wait=wait,
            kept=self.kept,
        )
        try:
            table = committing.commit()
        except OvertakenError:
            self.counts.overtaken += 1
            reader.restart()
            return None
        reader.settle(topic, taken)
        rows: pa.Table = committing.rows
        if self._seen is not None:
            self._seen.committed(table, rows)
        self.counts.rows += rows.num_rows
        self.counts.duplicates += read.rows.num_rows - rows.num_rows
        self.counts.bad += len(read.bad)
        self.counts.commits += 1
        times = (m.timestamp()[1] for m in messages)
        self.counts.newest_ms = max(self.counts.newest_ms, *times)
        return table, rows

    def _new_rows(self, table: Table, rows: pa.Table) -> pa.Table:
        if not self.entry.dedupe_by:
            return rows
        if self._seen is None:
            self._seen = SeenEvents(self.entry, table)
        return self._seen.new_of(table, rows)

    def set_aside(self, messages: Sequence[Any], bad: Sequence[BadRow]) -> None:
        """Send messages that are not valid rows to the dead-letter topic, with the reason, or stop.

        They are sent before the batch is committed, so that none is lost; a crash in between sends
        them twice, with the same headers.
        """
        entry = self.entry
        if entry.on_bad_row == "stop":
            message, reason = messages[bad[0].place], bad[0].reason
            raise DataError(
                f"message {message.offset()} of partition {message.partition()} is not a row of "
                f"{entry.table}: {reason}",
                where=f"topic {entry.topic}",
                hint="fix the table or the producer, or set such messages aside with "
                "`on_bad_row: dead_letter`; nothing of this batch was written",
            )
        if self._letters is None:
            self._letters = DeadLetters(entry, self.broker)
        self._letters.send(messages, bad)


def reset_fence(
    topic: str, broker: Broker, topic_id: str, where: str
) -> Callable[[Fence | None], Fence]:
    """What gives the fence from which ``--reset`` resumes a source, from the one that it has.

    Args:
        where: ``earliest``, ``latest``, or offsets such as ``0:120,1:98``: other partitions stay
            where they are.

    Raises:
        DataError: it is none of them.
    """
    ends = _ends(broker, topic)
    if where in ("earliest", "latest"):
        at = ("earliest", "latest").index(where)
        whole = Fence(topic, topic_id, {p: Place(found[at]) for p, found in ends.items()})
        return lambda known: whole
    try:
        pairs = [part.split(":") for part in where.split(",")]
        named = {int(p): Place(int(at)) for p, at in pairs}
    except ValueError:
        raise DataError(
            f"{where!r} is not a place in a topic",
            where="--reset",
            hint="write earliest, latest, or partitions with offsets: 0:120,1:98",
        ) from None
    for partition, place in named.items():
        first, end = ends.get(partition, (0, -1))
        if not first <= place.offset <= end:
            raise DataError(
                f"partition {partition} of topic {topic!r} has no offset {place.offset}",
                where="--reset",
                hint=f"it goes from {first} to {end}" if end >= 0 else "there is none",
            )

    def moved(known: Fence | None) -> Fence:
        same = known is not None and (known.topic, known.topic_id) == (topic, topic_id)
        kept = known.places if known is not None and same else {}
        return Fence(topic, topic_id, {**kept, **named})

    return moved


def _ends(broker: Broker, topic: str) -> dict[int, tuple[int, int]]:
    consumer = broker.consumer("forebay-looks")
    try:
        return {
            p: consumer.get_watermark_offsets(kafka.TopicPartition(topic, p), timeout=10)
            for p in broker.partitions(topic)
        }
    finally:
        consumer.close()
