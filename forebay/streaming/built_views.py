"""What the tables of streamed views say: which were built, and from which snapshots they go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.instants import from_epoch_us
from lakehouse.lake import find_table, open_lake, read_state
from lakehouse.maintain.pinned import pins_of_tables


def built_views(catalog: Catalog, views: Sequence[ViewEntry]) -> dict[str, datetime]:
    """The views that have a table, and the instants at which they stand.

    One that was never built has none to bring forward.
    """
    lake = open_lake(catalog.lake)
    states = {v.name: read_state(find_table(lake, v.history_table)) for v in views}
    return {name: from_epoch_us(s.at) for name, s in states.items() if s is not None}


def kept_snapshots(catalog: Catalog, views: Sequence[ViewEntry]) -> set[int]:
    """The snapshots of leaves from which the views' tables go on, an earlier definition's included."""
    lake = open_lake(catalog.lake)
    found = (find_table(lake, name) for v in views for name in (v.table, v.history_table))
    pins = pins_of_tables(table for table in found if table is not None)
    return {*pins.onward, *pins.read}
