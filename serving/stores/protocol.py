"""What every online store does. One behaviour suite, tests/serving/stores, runs over all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from feature_specs.catalog import ViewEntry
from feature_specs.errors import ForebayError

Rows: TypeAlias = Iterable[tuple[bytes, bytes]]

_MEANING_BYTES = 16

#: A view's state, or a function that gives it once all rows were taken, which may have counted them.
State: TypeAlias = bytes | Callable[[], bytes]


class StoredView(NamedTuple):
    """A feature view as a store knows it.

    Attributes:
        name: of the view and of what its rows mean, such as ``clicks@1f0e``: rows of an earlier
            meaning lie beside those of a later one until they are dropped. Types are part of it:
            those of a query's columns follow from its leaves', and decide how rows are written.
        entities: names of its key columns, in key order. Views with the same have the same keys, so
            that a store may keep an entity's rows of all of them together.
    """

    name: str
    entities: tuple[str, ...]

    @classmethod
    def of(cls, view: ViewEntry) -> StoredView:
        columns = [f"{c.name} {c.type}" for c in (*view.entities, *view.stored)]
        told = "\0".join([view.semantic_hash, view.time_column or "", *columns])
        meaning = hashlib.blake2b(told.encode(), digest_size=_MEANING_BYTES).hexdigest()
        return cls(f"{view.name}@{meaning}", view.keys)


def view_of(stored: str) -> str:
    """The view whose rows are stored under a `StoredView`'s name.

    >>> view_of("clicks@1f0e")
    'clicks'
    """
    return stored.rpartition("@")[0] or stored


class Slice(NamedTuple):
    """What one view holds for the keys asked, at one moment.

    Attributes:
        state: as the last `write` left it; None where nothing was ever written.
        rows: a row for each key asked, None where there is none.
    """

    state: bytes | None
    rows: list[bytes | None]


class NoStoreError(ForebayError):
    """A store opened to be read was never written."""


class OvertakenError(ForebayError):
    """Another writer changed the view since the state that a write builds on."""


class StoreDownError(ForebayError):
    """The store does not answer, or not in time; it may again later."""


class OnlineStore(Protocol):
    """Rows by view and key. Keys and rows are bytes that the store does not look into."""

    def get_many(self, wanted: Mapping[StoredView, Sequence[bytes]]) -> dict[str, Slice]:
        """Rows and state of several views, by name. Each view's are of one moment."""
        ...

    async def read(self, wanted: Mapping[StoredView, Sequence[bytes]]) -> dict[str, Slice]:
        """`get_many` for an event loop, which it never holds up."""
        ...

    def get_state(self, view: StoredView) -> bytes | None:
        """The view's state, or None where nothing was ever written."""
        ...

    def states(self) -> dict[StoredView, bytes]:
        """The state of everything that was written and not dropped.

        A store that does not keep rows by key columns gives views without them.
        """
        ...

    def drop(self, view: StoredView) -> None:
        """Remove a view's rows and state; readers see all of it or nothing.

        One that is not there is no error. What is written later is there again.

        Args:
            view: as `states` gave it.
        """
        ...

    def write(
        self,
        view: StoredView,
        upserts: Rows,
        deletes: Iterable[bytes],
        state: State,
        *,
        replace: bool,
        after: bytes | None = None,
    ) -> None:
        """Write rows and state: readers see all of it or nothing, and so does a crash.

        Args:
            upserts: (key, row) pairs; of two with one key the later counts.
            deletes: keys to remove, applied before the upserts; keys not there are no error.
            replace: first remove every row of the view.
            after: write only if the view's state is still these bytes; None writes on any.

        Raises:
            OvertakenError: the state is not ``after``; nothing was written.
        """
        ...

    def items(self, view: StoredView) -> Iterator[tuple[bytes, bytes]]:
        """All (key, row) pairs of a view, of one moment, in no order that counts."""
        ...

    def rest(self) -> bool:
        """Between rounds of work: remove what no reader needs any more, as far as that is due.

        Returns:
            Whether to go on with this store in the next round; if not, close it and open it anew.

        Raises:
            StoreDownError: it does not answer; what is due stays so.
        """
        ...

    def close(self) -> None:
        """Release the store. Using it afterwards is an error; closing it again is not."""
        ...
