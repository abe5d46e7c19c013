"""All of a view's stored rows, by ranges of the ring: for verify and for removing what is dead."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from serving.stores.cql.connection import SCAN as PROFILE
from serving.stores.cql.connection import Connection
from serving.stores.cql.schema import group_name
from serving.stores.cql.versions import Stored
from serving.stores.protocol import StoredView

_FIRST, _LAST = -(2**63), 2**63 - 1
#: A range a statement, so that none of them reads too much to answer in time.
_RANGES = 32
_PAGE = 1000


def scan(
    connection: Connection, view: StoredView, text: str
) -> Iterator[tuple[bytes, list[Stored]]]:
    """Each key with its slots, whose rows are empty where ``text`` reads none."""
    group = group_name(view.entities)
    rows = (row for row in _rows(connection, view.name, text) if row[0] == group)
    for key, slots in groupby(rows, key=lambda row: bytes(row[1])):
        yield key, [(slot, mark, row[0] if row else b"") for _, _, _, slot, mark, *row in slots]


def _rows(connection: Connection, view: str, text: str) -> Iterator[Any]:
    prepared = connection.prepare(text)
    step = (_LAST - _FIRST) // _RANGES
    for number in range(_RANGES):
        first = _FIRST + number * step + (number > 0)
        last = _LAST if number == _RANGES - 1 else _FIRST + (number + 1) * step
        bound = prepared.bind((first, last, view))
        bound.fetch_size = _PAGE
        with connection.errors():
            yield from connection.session.execute(bound, execution_profile=PROFILE)
