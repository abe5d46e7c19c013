"""What every online store does. One behaviour suite, tests/serving/stores, runs over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from feature_specs.errors import ForebayError

Rows = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Slice:
    """What one view holds for the keys asked, at one moment.

    Attributes:
        state: as the last `write` left it; None where nothing was ever written.
        rows: a row for each key asked, None where there is none.
    """

    state: bytes | None
    rows: list[bytes | None]


class NoStoreError(ForebayError):
    """A store opened to be read was never written."""


class OnlineStore(Protocol):
    """Rows by view and key. Keys and rows are bytes that the store does not look into."""

    def get_many(self, wanted: Mapping[str, Sequence[bytes]]) -> dict[str, Slice]:
        """Rows and state of several views, all of one moment: one read transaction."""
        ...

    def get_state(self, view: str) -> bytes | None:
        """The view's state, or None where nothing was ever written."""
        ...

    def put_state(self, view: str, state: bytes) -> None:
        """Replace the view's state and leave its rows as they are."""
        ...

    def write(
        self, view: str, upserts: Rows, deletes: Iterable[bytes], state: bytes, *, replace: bool
    ) -> None:
        """Write rows and state: readers see all of it or nothing, and so does a crash.

        Args:
            upserts: (key, row) pairs; of two with one key the later counts.
            deletes: keys to remove, applied before the upserts; keys not there are no error.
            replace: first remove every row of the view.
        """
        ...

    def items(self, view: str) -> Iterator[tuple[bytes, bytes]]:
        """All (key, row) pairs of a view, of one moment, in no order that counts."""
        ...

    def close(self) -> None:
        """Release the store. Using it afterwards is an error; closing it again is not."""
        ...
