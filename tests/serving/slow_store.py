"""A store that is slow, or fails, for views of some key columns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from serving.stores import Slice, StoreDownError, StoredView
from serving.stores.lmdb import LmdbStore


class SlowStore:
    """Makes a store slow, or has it fail, for views of some key column."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow: set[str] = set()
        self.down: set[str] = set()
        read = LmdbStore.read

        async def slowly(
            store: LmdbStore, wanted: Mapping[StoredView, Sequence[bytes]]
        ) -> dict[str, Slice]:
            columns = {name for view in wanted for name in view.entities}
            if columns & self.slow:
                await asyncio.sleep(60)
            if columns & self.down:
                raise StoreDownError("it does not answer", where="the store", hint="wait")
            return await read(store, wanted)

        monkeypatch.setattr(LmdbStore, "read", slowly)
