"""The rows of a table by what its last commit says, and commits of properties alone."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId

from lakehouse.feature_tables.key_index import dead_rows
from lakehouse.local_path import is_local
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
    dead = dead_rows(stands.deletes)
    return total - sum(len(rows) for d in dead for file, rows in d.items() if file in held)


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
