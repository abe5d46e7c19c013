"""One source on Spark: Structured Streaming reads its topic, and this process commits the batches.

What is read next the table says, as in the embedded stream: each query begins where the table is,
and Spark's own checkpoint is thrown away with it. Spark's workers read a batch's messages and write
the data files; the commit with its fence is the embedded stream's own.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyiceberg.table import Table
from pyspark.errors import PySparkException

from feature_specs.errors import DataError, ForebayError
from feature_specs.library_errors import known_errors
from lakehouse.engines.spark import SparkEngine, explain_message
from lakehouse.lake import load_table
from lakehouse.stream.check_log import check_log
from lakehouse.stream.commit_batch import Batch, OvertakenError, StagedCommit, check_same_topic
from lakehouse.stream.feed import Feed
from lakehouse.stream.fence import Fence
from lakehouse.stream.persist import persist
from lakehouse.stream.read_on_spark import RESULTS, BatchResult, ReadMessages, merge_results
from lakehouse.stream.rows import BadRow
from lakehouse.stream.run import Pace
from lakehouse.stream.topics import Partition, created_anew
from lakehouse.write_arrow import DetachedTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

#: Messages of one batch at most; those that are not rows come to this process.
MOST_MESSAGES = 1_000_000

_CONNECTOR = "org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.1"
#: Spark's word for a partition's beginning.
_EARLIEST = -2


class _EndedError(Exception):
    """Ends the query: a batch is not to be committed any more."""


@dataclass
class SparkFeed:
    """Commits the messages of one topic that Spark reads.

    Attributes:
        feed: the source, its counts, and where what is not a row goes.
        options: Spark's options of its Kafka source, the broker's address and credentials.
    """

    spark: SparkEngine
    feed: Feed
    options: Mapping[str, str] = field(repr=False)
    pace: Pace
    lags: dict[Partition, int] = field(default_factory=dict)
    _query: StreamingQuery | None = None
    _folder: Path | None = None
    _topic_id: str = ""
    _starts: dict[int, int | None] = field(default_factory=dict)
    _fault: ForebayError | None = None
    _overtaken: bool = False
    _ending: bool = False
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start a query from where the table is.

        Raises:
            DataError: the topic is not there, or not the one that the table was read from.
            ForebayError: Spark has no connector to Kafka.
        """
        entry, broker = self.feed.entry, self.feed.broker
        fence = self.feed.fence()
        self._topic_id = broker.topic_ids([entry.topic])[entry.topic]
        if fence is not None:
            check_same_topic(fence, entry.topic, self._topic_id, entry.table)
            check_log(broker, fence)
        places = {} if fence is None else fence.places
        self._starts = {p: place.offset for p, place in places.items()}
        numbers = {*broker.partitions(entry.topic), *places}
        begin = {str(p): self._starts.get(p, _EARLIEST) for p in sorted(numbers)}
        self._folder = Path(tempfile.mkdtemp(prefix="forebay-stream-"))
        self._overtaken, self._fault = False, None
        self._query = self.spark.use(lambda session: self._open(session, begin))

    def look(self) -> bool:
        """Whether it goes on; a query that was overtaken is started again.

        Raises:
            ForebayError: what has stopped it.
        """
        query = self._query
        assert query is not None
        self._note_lags(query)
        if query.isActive:
            return True
        error = query.exception()
        if error is None and self._fault is None:
            return False
        self._drop_folder()
        if self._overtaken:
            self.feed.counts.overtaken += 1
            self.start()
            return True
        raise self._fault or self._explain(error)

    def stop(self) -> None:
        """Let the batch that is being committed land, and end the query."""
        with self._busy:
            self._ending = True
        if self._query is not None:
            self._query.stop()
        self._drop_folder()

    def _open(self, session: SparkSession, begin: Mapping[str, int | None]) -> StreamingQuery:
        topic = self.feed.entry.topic
        given = {
            **self.options,
            "subscribe": topic,
            "startingOffsets": json.dumps({topic: begin}),
            "failOnDataLoss": "true",
            "includeHeaders": "true",
            "maxOffsetsPerTrigger": str(MOST_MESSAGES),
            "kafka.isolation.level": "read_committed",
        }
        try:
            frame = session.readStream.format("kafka").options(**given).load()
        except PySparkException as error:
            if "Failed to find data source: kafka" not in str(error):
                raise
            raise ForebayError(
                "Spark has no connector to Kafka",
                where=self.spark.place,
                hint=f"add it under `spark` there: `packages: [..., {_CONNECTOR}]`",
            ) from None
        assert self._folder is not None
        writer = frame.writeStream.foreachBatch(self._take).queryName(self.feed.entry.name)
        writer = writer.option("checkpointLocation", self._folder.as_uri())
        if self.pace.once:
            writer = writer.trigger(once=True)
        elif self.pace.until_caught_up:
            writer = writer.trigger(availableNow=True)
        else:
            writer = writer.trigger(processingTime=f"{round(self.pace.every * 1000)} milliseconds")
        return writer.start()

    def _take(self, frame: DataFrame, number: int) -> None:
        """What ``foreachBatch`` calls, in a thread of its own; what it raises ends the query."""
        with self._busy:
            if self._ending:
                raise _EndedError
            try:
                self._commit(frame)
            except OvertakenError:
                self._overtaken = True
                raise
            except ForebayError as error:
                self._fault = error
                raise
            except (PySparkException, Py4JError, *known_errors()) as error:
                if not self._ending:
                    self._fault = self._explain(error)
                raise

    def _commit(self, frame: DataFrame) -> None:
        feed, topic = self.feed, self.feed.entry.topic
        table = persist(lambda: load_table(feed.catalog, feed.entry.table))
        read = ReadMessages(DetachedTable.of(table), feed.entry)
        result = merge_results(frame.mapInArrow(read, RESULTS).toArrow())
        if not result.ends:
            return
        # Asked for after they were read: before, the log might have been replaced in between.
        if persist(lambda: feed.broker.topic_ids([topic]))[topic] != self._topic_id:
            raise created_anew(topic)
        fence = persist(feed.fence)
        if fence is not None:
            persist(lambda: check_log(feed.broker, fence))
        bad = [BadRow(place, reason) for place, (_, reason) in enumerate(result.bad)]
        if bad:
            feed.set_aside([message for message, _ in result.bad], bad)
        self._starts |= self._land(table, result)

    def _land(self, table: Table, result: BatchResult) -> dict[int, int | None]:
        feed, metadata = self.feed, table.metadata
        starts = {p: self._starts.get(p) for p in result.ends}
        batch = Batch(feed.entry.topic, self._topic_id, pa.table({}), starts, result.ends)
        StagedCommit(
            feed.catalog,
            feed.entry.table,
            batch,
            kept=feed.kept,
            staged=result.files,
            written_for=(metadata.current_schema_id, metadata.default_spec_id),
        ).commit()
        feed.counts.rows += result.rows
        feed.counts.bad += len(result.bad)
        feed.counts.commits += 1
        feed.counts.newest_ms = max(feed.counts.newest_ms, result.newest_ms)
        return {p: place.offset for p, place in result.ends.items()}

    def _note_lags(self, query: StreamingQuery) -> None:
        progress, topic = query.lastProgress, self.feed.entry.topic
        # pyspark's own objects have the offsets as texts in Python's spelling.
        said = {} if progress is None else json.loads(progress.json)
        for source in said.get("sources", ()):
            latest = source.get("latestOffset") or {}
            for partition, end in (latest.get(topic) or {}).items():
                done = self._starts.get(int(partition)) or 0
                self.lags[topic, int(partition)] = max(int(end) - done, 0)

    def _explain(self, error: Any) -> ForebayError:
        """What has ended a query: the topic, its log, or Spark."""
        topic, broker = self.feed.entry.topic, self.feed.broker
        try:
            if broker.topic_ids([topic])[topic] != self._topic_id:
                return created_anew(topic)
            fence: Fence | None = self.feed.fence()
            if fence is not None:
                check_log(broker, fence)
        except ForebayError as found:
            return found
        if isinstance(error, ForebayError):
            return error
        return DataError(
            f"Spark: {explain_message(error)}",
            where=f"topic {topic}",
            hint="run it again, it goes on where the table is; "
            "`forebay stream` without --engine reads the same topic",
        )

    def _drop_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def run_on_spark(feeds: list[SparkFeed], stop: threading.Event, after: Callable[[], None]) -> None:
    """Commit messages until ``stop`` is set, or all queries have ended by themselves.

    Args:
        after: called now and then.

    Raises:
        ForebayError: a query has failed; the others are ended.
    """
    try:
        for feed in feeds:
            feed.start()
        going = list(feeds)
        while going and not stop.is_set():
            going = [feed for feed in going if feed.look()]
            after()
            time.sleep(0.1)
    finally:
        for feed in feeds:
            feed.stop()
