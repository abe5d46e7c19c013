"""Record which rows retention removed from a table, and refuse reads that need them.

The commit that removes rows says so in two places: in its snapshot's summary, by which a step knows
what it passes over, and in a property of the table, since snapshots expire.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError
from feature_specs.instants import from_epoch_us
from lakehouse.scan import Pinned

#: Of a snapshot: rows before this instant were removed by it, in microseconds.
REMOVED = "forebay.retained-from"
#: Of a table: pairs of a sequence number and the instant, for each snapshot that removed rows.
RETAINED_PROPERTY = "forebay.retained"


def retained_from(table: Table, snapshot: int | None) -> int | None:
    """The instant before which rows were removed of a table at a snapshot, in microseconds."""
    number = _number_of(table, snapshot)
    known = [instant for at, instant in removals(table) if number is None or at <= number]
    return max(known, default=None)


def removals(table: Table) -> list[tuple[int, int]]:
    """Sequence number of each commit that removed rows, and the instant before which they lay."""
    return [
        (at, instant) for at, instant in json.loads(table.properties.get(RETAINED_PROPERTY, "[]"))
    ]


def _number_of(table: Table, snapshot: int | None) -> int | None:
    known = None if snapshot is None else table.snapshot_by_id(snapshot)
    return None if known is None else known.sequence_number


def passes_removal(view: ViewEntry, leaf: str, at: int, snapshot: Snapshot) -> bool:
    """Whether all rows that a snapshot removed decide nothing of a view at an instant or later.

    Args:
        at: in microseconds.
    """
    told = snapshot.summary.additional_properties.get(REMOVED) if snapshot.summary else None
    back = view.reach.get(leaf)
    return told is not None and back is not None and at - back >= int(told)


def check_retained(
    view: ViewEntry, tables: Mapping[str, Pinned], at: int, where: str | None = None
) -> None:
    """Refuse an instant for which a view would read rows that retention has removed.

    Args:
        tables: of the view's leaves, by name.
        at: the earliest instant that is asked for, in microseconds.
        where: what asks; by default the view.

    Raises:
        DataError: it would.
    """
    for name in view.leaves:
        if name not in tables:
            continue
        since = retained_from(tables[name].table, tables[name].snapshot)
        back = view.reach.get(name)
        if since is None or (back is not None and at - back >= since):
            continue
        gone = from_epoch_us(since).isoformat()
        if back is None:
            raise DataError(
                f"feature view {view.name!r} reads all the past of {name}, of which retention has "
                f"removed the rows before {gone}",
                where=where or view.file,
                hint="bound it by the clock where the table is read, or load those rows again under "
                "another name",
            )
        raise DataError(
            f"feature view {view.name!r} at {from_epoch_us(at).isoformat()} needs rows of {name} "
            f"that retention has removed: those before {gone}",
            where=where or view.file,
            hint=f"ask for {from_epoch_us(since + back).isoformat()} or later",
        )


def check_all_retained(
    catalog: Catalog, views: Iterable[str], pinned: Mapping[str, Pinned], at: int, where: str
) -> None:
    """`check_retained` for several views.

    Args:
        pinned: the leaves' tables by relation.
    """
    for name in dict.fromkeys(views):
        view = catalog.view(name)
        relations = {leaf: catalog.leaves[leaf].relation for leaf in view.leaves}
        check_retained(view, {n: pinned[r] for n, r in relations.items() if r in pinned}, at, where)
