"""Pin the snapshots behind a training set with Iceberg tags, until the set is forgotten.

A tag is Iceberg's own way to say that a snapshot must not expire, and so `forebay maintain`, Spark
and Trino all leave it. One training set has one tag name, on each of the tables that it was made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pyiceberg.catalog import Catalog as Lake
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from feature_specs.errors import DataError
from lakehouse.lake import find_table, load_table
from lakehouse.training_record import Record

_PREFIX = "forebay-set-"
_TRIES = 8


def tag_of(set_id: str) -> str:
    """The tag of a training set.

    >>> tag_of("3f2a")
    'forebay-set-3f2a'
    """
    return f"{_PREFIX}{set_id}"


def is_of_set(ref: str) -> bool:
    """Whether a tag is a training set's, or that of a backfill that is not done."""
    return ref.startswith(_PREFIX)


def kept_of(record: Record) -> dict[str, int]:
    """The snapshots that a set is made again from, by table: of the leaves, or of the model's table."""
    model = record.get("model")
    parts = [model] if isinstance(model, Mapping) else _tables(record)
    return {p["table"]: p["snapshot"] for p in parts if isinstance(p.get("snapshot"), int)}


def _tables(record: Record) -> Iterator[Mapping[str, Any]]:
    yield from record.get("leaves", {}).values()
    yield from record.get("spine_tables", {}).values()


def keep_snapshots(lake: Lake, record: Record) -> None:
    """Tag the snapshots of a record that has an ``id``.

    Raises:
        DataError: one of them has expired since it was read, or other writers won every try.
    """
    done: list[str] = []
    try:
        for name, snapshot in kept_of(record).items():
            _tag(lake, name, snapshot, tag_of(record["id"]))
            done.append(name)
    except BaseException:
        forget_snapshots(lake, record["id"], done)
        raise


def forget_snapshots(lake: Lake, set_id: str, tables: Iterable[str]) -> list[str]:
    """Remove a set's tag from tables; those that had it. One that is gone has nothing to keep."""
    return [name for name in tables if _untag(lake, name, tag_of(set_id))]


def sets_kept(tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """The ids of training sets whose snapshots are tagged, each with its tables."""
    found: dict[str, list[str]] = {}
    for name, table in tables.items():
        for ref in table.metadata.refs:
            if is_of_set(ref):
                found.setdefault(ref.removeprefix(_PREFIX), []).append(name)
    return found


def _tag(lake: Lake, name: str, snapshot: int, tag: str) -> None:
    for _ in range(_TRIES):
        table = load_table(lake, name)
        if tag in table.metadata.refs and table.metadata.refs[tag].snapshot_id == snapshot:
            return
        if table.snapshot_by_id(snapshot) is None:
            raise DataError(
                f"snapshot {snapshot} expired while the training set was made of it",
                where=f"table {name}",
                hint="run it again; `forebay maintain --keep-hours` keeps what readers are at",
            )
        try:
            table.manage_snapshots().create_tag(snapshot, tag).commit()
        except CommitFailedException:
            continue
        except OSError as error:
            # PyArrow does not say which file it could not write.
            raise OSError(error.errno, str(error), table.metadata_location) from error
        return
    raise _beaten(name)


def _untag(lake: Lake, name: str, tag: str) -> bool:
    for _ in range(_TRIES):
        table = find_table(lake, name)
        if table is None or tag not in table.metadata.refs:
            return False
        try:
            table.manage_snapshots().remove_tag(tag).commit()
        except CommitFailedException:
            continue
        return True
    raise _beaten(name)


def _beaten(name: str) -> DataError:
    return DataError(
        f"other writers committed first, {_TRIES} times in a row",
        where=f"table {name}",
        hint="run it again once they are done",
    )
