"""The record, kept in a table, of the files that were loaded into it, by content digest.

The record is a table property, written by the same commit as the rows, so that it is there if they
are, and stays when snapshots expire. Beside each file's digest it holds the sequence number of that
commit: where the table was rolled back to before it, the file is no longer loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.table import Table

from feature_specs.errors import DataError
from lakehouse.ingest.source import Stamp, stamp_of

#: The table property: JSON of digest to sequence number.
LOADED = "forebay.ingested"

#: Of a SHA-256 digest, in the record: two files in 2**64 would have to be alike by chance.
_BYTES = 16


@dataclass(frozen=True)
class Content:
    """What is in a file.

    Attributes:
        digest: the same for the same bytes, whatever the file's name.
        stamp: of the file before it was read.
    """

    digest: str
    stamp: Stamp | None


def content_of(path: Path) -> Content:
    """Read a file and say what is in it."""
    stamp = stamp_of(path)
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").digest()
    return Content(base64.urlsafe_b64encode(whole[:_BYTES]).rstrip(b"=").decode(), stamp)


def loaded_files(table: Table | None) -> dict[str, int]:
    """Digest to sequence number of the files of which a table, as it stands, has the rows.

    Raises:
        DataError: the property is not what `forebay ingest` writes.
    """
    if table is None or LOADED not in table.properties:
        return {}
    try:
        record = {str(k): int(v) for k, v in json.loads(table.properties[LOADED]).items()}
    except (ValueError, TypeError, AttributeError):
        raise DataError(
            f"its property {LOADED} is not what `forebay ingest` writes",
            where=f"table {'.'.join(table.name())}",
            hint="remove the property; files that were loaded before then count as new",
        ) from None
    line, oldest = _line(table)
    return {digest: at for digest, at in record.items() if at in line or at < oldest}


def dumps(known: Mapping[str, int], more: Iterable[str], sequence: int) -> str:
    """The record with more files, that a commit of this sequence number brings."""
    return json.dumps({**known, **dict.fromkeys(more, sequence)}, separators=(",", ":"))


def next_sequence(table: Table) -> int:
    """The sequence number of a table's next commit."""
    # Tables of format version 1 number no commits: all of theirs are 0.
    return int(getattr(table.metadata, "last_sequence_number", -1)) + 1


def _line(table: Table) -> tuple[set[int], int]:
    """Sequence numbers of the commits that led to the table, as far back as they are known, and the
    least: who expires a snapshot cuts the line there, and what was before it had led to it too."""
    by_id = {s.snapshot_id: s for s in table.snapshots()}
    cursor = table.metadata.current_snapshot_id
    line: set[int] = set()
    while cursor is not None and cursor in by_id:
        line.add(by_id[cursor].sequence_number or 0)
        cursor = by_id[cursor].parent_snapshot_id
    return line, min(line, default=0)
