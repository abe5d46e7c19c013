"""The rows of a table by what its last commit says, and commits of properties alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId

from lakehouse.local_path import is_local, local_path
from lakehouse.pyiceberg_internals import SteadyTransaction
from lakehouse.scan import pin
from lakehouse.write_rows import ROWS_PROPERTY, overtaken


def count_rows(table: Table) -> int:
    """The rows of a table, by what its last commit says."""
    current = table.current_snapshot()
    if current is None or current.summary is None:
        return 0
    told = current.summary.additional_properties
    if ROWS_PROPERTY in told:
        return int(told[ROWS_PROPERTY])
    total, deletes = (int(told.get(f"total-{n}", 0)) for n in ("records", "position-deletes"))
    if not deletes or not is_local(table.location()):
        return total - deletes
    # Of another engine's commit: its deletes may speak of rows of files that are gone.
    stands = pin(table)
    held = {e.data_file.file_path for e in stands.files}
    return total - count_dead_rows(
        [local_path(e.data_file.file_path) for e in stands.deletes], held
    )


def count_dead_rows(paths: Sequence[str], held: AbstractSet[str]) -> int:
    """How many rows of the files held are named by files of position deletes, each counted once."""
    read = [pq.read_table(path, columns=["file_path", "pos"]) for path in paths]
    if not read:
        return 0
    named = pa.concat_tables(
        t.cast(pa.schema([("file_path", pa.string()), ("pos", pa.int64())])) for t in read
    )
    named = named.filter(pc.is_in(named["file_path"], value_set=pa.array(held, pa.string())))
    return int(named.group_by(["file_path", "pos"]).aggregate([]).num_rows)


def set_properties(table: Table, properties: Mapping[str, str]) -> int:
    """Commit table properties alone. Returns the rows of the table.

    Raises:
        DataError: another writer has committed rows since the table was loaded.
    """
    seen = {"ref": MAIN_BRANCH, "snapshot-id": table.metadata.current_snapshot_id}
    change = SteadyTransaction(table)
    try:
        change.require(AssertRefSnapshotId.model_validate(seen))
        change.set_properties(dict(properties))
        change.commit_transaction()
    except CommitFailedException:
        raise overtaken(".".join(table.name())) from None
    return count_rows(table)
