"""The result of reading a batch of messages: valid rows and rejected messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa


class BadRow(NamedTuple):
    """A rejected message: its place among those read, and the reason."""

    place: int
    reason: str


@dataclass(frozen=True)
class ReadRows:
    """Valid rows, in the order of their messages, and rejected messages."""

    rows: pa.Table
    bad: Sequence[BadRow]


class RowReader(Protocol):
    """Reads message values as table rows."""

    def read(self, values: Sequence[bytes | None]) -> ReadRows:
        """Read values in order; return valid rows, and rejected messages with their places."""
        ...
