"""Read an Iceberg table as it was when a training set was made from it."""

from __future__ import annotations

from pyiceberg.catalog import Catalog as Lake

from feature_specs.errors import DataError
from lakehouse.lake import find_table
from lakehouse.scan import Pinned, under_schema
from lakehouse.training_record import Record

_SET = ("the training set", "make a new set of the tables as they are: leave --as-recorded away")


def pin_recorded(lake: Lake, told: Record, of: tuple[str, str] = _SET) -> Pinned:
    """A table at the snapshot and under the schema that a record tells of.

    Args:
        of: what the record is of, and what to do where the table is another by now.

    Raises:
        DataError: the table is gone, another one has its name now, or the snapshot has expired.
    """
    name, snapshot = str(told["table"]), told["snapshot"]
    what, hint = of
    table = find_table(lake, name)
    if table is None or str(table.metadata.table_uuid) != told["uuid"]:
        gone = "is gone" if table is None else "was dropped and made anew"
        raise DataError(f"table {name}, of which {what} was made, {gone}", where=name, hint=hint)
    if snapshot is not None and table.snapshot_by_id(snapshot) is None:
        raise DataError(
            f"snapshot {snapshot} of table {name}, of which {what} was made, has expired",
            where=name,
            hint=hint,
        )
    return Pinned(under_schema(table, told["schema"]), snapshot)
