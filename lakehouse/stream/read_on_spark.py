"""Read a topic's messages as table rows, and write these, in Spark's Python workers.

The reader is the one of the embedded stream, so that every message means the same in both. Workers
import this module: forebay has to be installed where they run, and the Kafka client need not be.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile

from feature_specs.stream_options import StreamEntry
from feature_specs.time_zones import SESSION_AT_UTC
from lakehouse.stream.fence import Place, digest_of
from lakehouse.stream.row_reader import row_reader
from lakehouse.stream.rows import RowReader
from lakehouse.write_arrow import DetachedTable, gather, write_arrow

#: The columns that `ReadMessages` gives, in Spark's words.
RESULTS = "result binary"

#: A task's messages are read as one file, or more where they are more than this.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Message:
    """A message, as confluent_kafka has it.

    Attributes:
        position: partition and offset.
    """

    position: tuple[int, int]
    key_value: tuple[bytes | None, bytes | None]
    header_pairs: tuple[tuple[str, bytes | None], ...]

    def partition(self) -> int:
        return self.position[0]

    def offset(self) -> int:
        return self.position[1]

    def key(self) -> bytes | None:
        return self.key_value[0]

    def value(self) -> bytes | None:
        return self.key_value[1]

    def headers(self) -> list[tuple[str, bytes | None]]:
        return list(self.header_pairs)


@dataclass
class BatchResult:
    """What has become of some messages.

    Attributes:
        files: with their rows; no commit names them yet.
        rows: how many these are.
        ends: of each partition where to go on.
        bad: messages that are not rows, with the reason.
        newest_ms: the latest of the messages' times, in milliseconds since the epoch.
    """

    files: list[DataFile] = field(default_factory=list)
    rows: int = 0
    ends: dict[int, Place] = field(default_factory=dict)
    bad: list[tuple[Message, str]] = field(default_factory=list)
    newest_ms: int = 0

    def add(self, other: BatchResult) -> None:
        """Take in what has become of others."""
        self.files += other.files
        self.rows += other.rows
        self.bad += other.bad
        self.newest_ms = max(self.newest_ms, other.newest_ms)
        for partition, place in other.ends.items():
            known = self.ends.get(partition)
            if known is None or known.offset < place.offset:
                self.ends[partition] = place


@dataclass(frozen=True)
class ReadMessages:
    """What ``mapInArrow`` is given, over the columns that Spark has of Kafka."""

    table: DetachedTable
    entry: StreamEntry

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = self.table.open()
        # The stream does not start for a source whose messages name schemas of a registry.
        reader = row_reader(self.entry, table.schema())
        with duckdb.connect() as connection:
            connection.execute(SESSION_AT_UTC)
            for messages in gather(batches, _MOST_BYTES):
                rows, result = _read(messages, reader)
                result.files = write_arrow(connection, table, rows)
                yield pa.RecordBatch.from_pydict({"result": pa.array([pickle.dumps(result)])})


def merge_results(found: pa.Table) -> BatchResult:
    """What the workers have made of a batch, in one."""
    merged = BatchResult()
    for one in found["result"].to_pylist():
        # Written by our own workers a moment ago, over Spark's own connection.
        merged.add(pickle.loads(one))
    merged.bad.sort(key=lambda pair: pair[0].position)
    return merged


def _read(messages: pa.Table, reader: RowReader) -> tuple[pa.Table, BatchResult]:
    values = messages["value"].to_pylist()
    read = reader.read(values)
    partitions, offsets = (messages[name].to_pylist() for name in ("partition", "offset"))
    times = pc.divide(messages["timestamp"].cast(pa.int64()), 1000).to_pylist()
    result = BatchResult(rows=read.rows.num_rows, newest_ms=max(times))
    bad = [(bad.place, bad.reason) for bad in read.bad]
    if bad:
        held = messages["headers"].take([place for place, _ in bad]).to_pylist()
        keys = messages["key"].take([place for place, _ in bad]).to_pylist()
        for (place, reason), key, headers in zip(bad, keys, held, strict=True):
            pairs = tuple((h["key"], h["value"]) for h in headers or ())
            where = (partitions[place], offsets[place])
            result.bad.append((Message(where, (key, values[place]), pairs), reason))
    last = {partition: place for place, partition in enumerate(partitions)}
    for partition, place in last.items():
        # Kafka's client counts kinds of times from 1 where Spark does from 0.
        kind = messages["timestampType"][place].as_py() + 1
        digest = digest_of((kind, times[place]), messages["key"][place].as_py(), values[place])
        result.ends[partition] = Place(offsets[place] + 1, None, digest)
    return read.rows, result
