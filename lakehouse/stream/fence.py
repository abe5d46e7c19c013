"""How far a topic has been read into a table, kept with the rows themselves.

It is in the table's properties and in the snapshot's summary, written by the same commit as the rows.
The summary shows that a table was rolled back; the property survives the expiry of snapshots.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from feature_specs.errors import DataError

#: The table property, and the field of a snapshot's summary.
FENCE = "forebay.stream"


@dataclass(frozen=True)
class Place:
    """Where to resume a partition.

    Attributes:
        offset: of the next message to read.
        epoch: the partition's leader epoch at the last one that was read; None where not known.
        last: a digest of that message, by which a log that was cut off and has grown again, or was
            copied from elsewhere, is told from the one that was read; empty where not known.
    """

    offset: int
    epoch: int | None = None
    last: str = ""


@dataclass(frozen=True)
class Fence:
    """What a table holds of a topic: all messages of each partition before its place.

    Attributes:
        topic_id: assigned by the broker when it creates a topic; a re-created topic has another.
    """

    topic: str
    topic_id: str
    places: Mapping[int, Place]

    def moved(self, ends: Mapping[int, Place]) -> Fence:
        """The fence with some partitions read further."""
        return Fence(self.topic, self.topic_id, {**self.places, **ends})

    def dumps(self) -> str:
        places = {str(p): [at.offset, at.epoch, at.last] for p, at in sorted(self.places.items())}
        return json.dumps({"topic": self.topic, "id": self.topic_id, "next": places})


def digest_of(timestamp: tuple[int, int], key: bytes | None, value: bytes | None) -> str:
    """What tells a message from another one at its offset.

    Args:
        timestamp: its kind, as Kafka's client counts them, and milliseconds since the epoch.
    """
    told = repr((timestamp, key, value)).encode()
    return hashlib.blake2b(told, digest_size=8).hexdigest()


def read_fence(table: Table) -> Fence | None:
    """The fence of a table's current rows; None where no topic was read into it.

    Of the current snapshot's line the last commit of a stream counts, so that a table that was
    rolled back is read on from where its rows end. Where that snapshot has expired, the property.

    Raises:
        DataError: it is not readable.
    """
    line = list(line_of(table))
    for snapshot in line:
        said = _said_by(snapshot)
        if said is not None:
            return _loads(said, table)
    said = table.properties.get(FENCE)
    if said is None or not line:
        return None if said is None else _loads(said, table)
    # Tables of format version 1 number no commits.
    last: int = getattr(table.metadata, "last_sequence_number", 0)
    # A commit of a stream writes both, so one that is in the property alone has expired, or is of
    # another line, and what it counted is not in these rows.
    aside = any(_said_by(s) == said for s in table.metadata.snapshots)
    whole = line[-1].sequence_number == 1
    if aside or whole or last > (line[0].sequence_number or 0):
        raise DataError(
            "it was rolled back to rows of which no snapshot says how far the topic was read",
            where=f"table {'.'.join(table.name())}",
            hint="say from where to go on: `forebay stream SOURCE --reset earliest`, or `latest`",
        )
    return _loads(said, table)


def line_of(table: Table) -> Iterator[Snapshot]:
    """The current snapshot and those that it came from, newest first, up to one that has expired."""
    by_id = {s.snapshot_id: s for s in table.metadata.snapshots}
    cursor = table.current_snapshot()
    while cursor is not None:
        yield cursor
        parent = cursor.parent_snapshot_id
        cursor = None if parent is None else by_id.get(parent)


def _said_by(snapshot: Snapshot) -> str | None:
    told = snapshot.summary.additional_properties.get(FENCE) if snapshot.summary else None
    return None if told is None else str(told)


def _loads(text: str, table: Table) -> Fence:
    try:
        raw = json.loads(text)
        places = {int(p): Place(int(at[0]), at[1], str(at[2])) for p, at in raw["next"].items()}
        return Fence(raw["topic"], raw["id"], places)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"its property {FENCE} is not what `forebay stream` writes: {error}",
            where=f"table {'.'.join(table.name())}",
            hint="say from where to go on: `forebay stream SOURCE --reset earliest`, or `latest`",
        ) from None
