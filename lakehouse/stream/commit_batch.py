"""Commit a batch of events with its fence, as a compare-and-set on the table's head."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from feature_specs.errors import DataError
from lakehouse.commit import PATIENCE_S, commit_patiently, uncertain_errors
from lakehouse.lake import load_table
from lakehouse.pyiceberg_internals import AppendFile, SteadyTransaction, check_columns, write_files
from lakehouse.stream.fence import FENCE, Fence, Place, line_of, read_fence


class OvertakenError(Exception):
    """Another process has committed messages of a batch's partitions since the batch began."""


@dataclass(frozen=True)
class Batch:
    """Rows of one topic's messages.

    Attributes:
        starts: of each partition the offset from which it was read; None for its beginning, where
            the table had none of it.
        ends: where to go on after it.
    """

    topic: str
    topic_id: str
    rows: pa.Table
    starts: Mapping[int, int | None]
    ends: Mapping[int, Place]


@dataclass
class BatchCommit:
    """Commits a batch once, however often that has to be tried.

    Its files are written once. Before each try the table is read anew: where its fence is no longer
    the one that the batch was read from, nothing is committed.

    Attributes:
        rows_for: gives the batch's rows that a table of this head lacks.
        wait: called between tries of a catalog that does not answer.
        most_snapshots: older ones are forgotten, but for those after any of ``kept``.
        kept: gives the snapshots from which somebody goes on.
        rows: those that were committed.
    """

    catalog: Catalog
    identifier: str
    batch: Batch
    rows_for: Callable[[Table, pa.Table], pa.Table] = lambda table, rows: rows
    wait: Callable[[float], None] = time.sleep
    most_snapshots: int = 200
    kept: Callable[[], set[int]] = set
    rows: pa.Table = None
    _files: list[DataFile] = field(default_factory=list)
    _written_as: tuple[int, int] | None = None
    _tried: set[int] = field(default_factory=set)
    _unknown: bool = False

    def commit(self) -> Table:
        """The table with the batch in it.

        Raises:
            OvertakenError: another process has committed the batch's messages, or some of them.
            DataError: the topic is another than the one that the table was read from.
        """
        try:
            return commit_patiently(self._commit, self._no_luck, self.wait)
        except (OvertakenError, DataError):
            self._remove_files()
            raise

    def _commit(self) -> Table:
        try:
            table = load_table(self.catalog, self.identifier)
            if any(s.snapshot_id in self._tried for s in line_of(table)):
                return table  # a try that was reported as failed had landed
            fence = self._next_fence(read_fence(table))
            self._write(table)
            self._try(table, fence)
        except uncertain_errors():
            self._unknown = self._unknown or bool(self._tried)
            raise
        return table

    def _next_fence(self, fence: Fence | None) -> Fence:
        batch = self.batch
        if fence is None:
            if any(start is not None for start in batch.starts.values()):
                raise OvertakenError  # the table was made anew, without what comes before the batch
            return Fence(batch.topic, batch.topic_id, batch.ends)
        check_same_topic(fence, batch.topic, batch.topic_id, self.identifier)
        for partition, start in batch.starts.items():
            place = fence.places.get(partition)
            if (None if place is None else place.offset) != start:
                raise OvertakenError
        return fence.moved(batch.ends)

    def _write(self, table: Table) -> None:
        rows = self.rows_for(table, self.batch.rows)
        metadata = table.metadata
        written_as = (metadata.current_schema_id, metadata.default_spec_id)
        # Where rows were taken out of the table, others of the batch may be new to it.
        if self._written_as == written_as and rows.equals(self.rows):
            return
        self._remove_files()
        transaction = SteadyTransaction(table)
        check_columns(transaction, rows.schema)
        written = write_files(transaction, rows, uuid.uuid4(), itertools.count())
        self._files = list(written) if rows.num_rows else []
        self.rows = rows
        self._written_as = written_as

    def _try(self, table: Table, fence: Fence) -> None:
        told = {FENCE: fence.dumps()}
        transaction = SteadyTransaction(table)
        transaction.require_layout()
        with AppendFile(
            Operation.APPEND, transaction, table.io, snapshot_properties=told
        ) as append:
            self._tried.add(append.snapshot_id)
            for file in self._files:
                append.append_data_file(file)
        transaction.set_properties(told)
        transaction.forget_snapshots(self.most_snapshots, self.kept)
        transaction.commit_transaction()

    def _remove_files(self) -> None:
        """Delete the files, if no commit can refer to them."""
        if self._files and not self._unknown:
            io = load_table(self.catalog, self.identifier).io
            for file in self._files:
                io.delete(file.file_path)
            self._files = []

    def _no_luck(self) -> DataError:
        return DataError(
            f"other writers committed first for {PATIENCE_S:.0f} seconds",
            where=f"table {self.identifier}",
            hint="run it again once they are done; nothing was lost",
        )


@dataclass
class StagedCommit(BatchCommit):
    """Commits files that were written already, for a table with certain columns and partitions.

    Attributes:
        staged: the files.
        written_for: the table's schema and partition spec.
    """

    staged: Sequence[DataFile] = ()
    written_for: tuple[int, int] = (-1, -1)

    def _write(self, table: Table) -> None:
        self._files = list(self.staged)
        if (table.metadata.current_schema_id, table.metadata.default_spec_id) != self.written_for:
            raise OvertakenError  # the messages have to be read again, for what it is now


def set_fence(catalog: Catalog, identifier: str, moved: Callable[[Fence | None], Fence]) -> None:
    """Set where a table's topic is read from next, in a commit without rows.

    Args:
        moved: gives the fence to set, from the one of the head that the commit builds on; None
            where the table has none that can be read.
    """
    while True:
        table = load_table(catalog, identifier)
        told = {FENCE: moved(_readable_fence(table)).dumps()}
        transaction = SteadyTransaction(table)
        with AppendFile(Operation.APPEND, transaction, table.io, snapshot_properties=told):
            pass
        transaction.set_properties(told)
        try:
            transaction.commit_transaction()
        except CommitFailedException:
            continue
        return


def _readable_fence(table: Table) -> Fence | None:
    try:
        return read_fence(table)
    except DataError:
        return None  # it is why somebody resets it


def check_same_topic(fence: Fence, topic: str, topic_id: str, identifier: str) -> None:
    """Raise DataError where a table was read from another topic than this one."""
    if fence.topic != topic:
        raise DataError(
            f"its rows were read from topic {fence.topic!r}, and its source now names {topic!r}",
            where=f"table {identifier}",
            hint=f"name topic {fence.topic!r} again, or go on with the new one: `forebay stream "
            "SOURCE --reset earliest` reads it from its beginning, `--reset latest` from its end",
        )
    if fence.topic_id != topic_id:
        raise DataError(
            f"topic {topic!r} was re-created since it was last read: it is {topic_id} now, and "
            f"was {fence.topic_id}",
            where=f"table {identifier}",
            hint="`forebay stream SOURCE --reset earliest` reads the new one from its beginning, "
            "beside the rows that are there; `--reset latest` from its end",
        )
