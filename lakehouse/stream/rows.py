"""What became of the messages of a batch: rows, and those that are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa


class BadRow(NamedTuple):
    """A message that is no row of the table: its place among those read, and why it is none."""

    place: int
    reason: str


@dataclass(frozen=True)
class ReadRows:
    """Rows of the table, in the order of their messages, and the messages that are none."""

    rows: pa.Table
    bad: Sequence[BadRow]


class RowReader(Protocol):
    """Reads values of messages as rows of a table."""

    def read(self, values: Sequence[bytes | None]) -> ReadRows:
        """The rows of the values that are one, in their order, and the others by their place."""
        ...
