"""The embedded online store: one LMDB environment, a folder.

Each replacement of a view's rows is a new *generation*: rows are written under its number in as many
transactions as they need, then one small transaction points the view's state at it. Readers see the
old generation until then, and a process killed midway leaves rows that nothing points at, which the
next writer removes.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

from feature_specs.errors import ForebayError
from serving.stores.environment import Environment, share
from serving.stores.lmdb_layout import (
    GENERATION,
    KEY_LIMIT,
    LAYOUT,
    LAYOUT_KEY,
    ROW,
    STATE,
    any_entry,
    ascending,
    delete_first,
    entries,
    first,
    generations,
    in_batches,
    next_generation,
    put_rows,
    read_state,
    row_of,
    split_long,
    state_key,
    stored_key,
    unpack_long,
    write_state,
)
from serving.stores.protocol import (
    NoStoreError,
    OvertakenError,
    Rows,
    Slice,
    State,
    StoredView,
    view_of,
)

#: Transactions that a step spends on rows that nothing points at.
_STEP_SWEEPS = 4
#: Rows whose read would hold up an event loop for longer than a thread costs.
_LONG_READ = 2_000
_LOCK_FILE = "writer.lock"

_Get: TypeAlias = Callable[[bytes], bytes | None]


def open_lmdb(uri: str, readonly: bool) -> LmdbStore:
    """The store of an ``lmdb:///absolute/folder`` URI."""
    url = urlsplit(uri)
    folder = Path(unquote(url.path))
    if url.netloc or not folder.is_absolute():
        raise ForebayError(
            "the folder of an LMDB store must be absolute",
            where=uri,
            hint="write three slashes: lmdb:///absolute/folder",
        )
    if readonly and not (folder / "data.mdb").exists():
        raise NoStoreError(
            "there is no online store yet", where=str(folder), hint="run `forebay sync`"
        )
    return LmdbStore(folder, readonly=readonly)


class LmdbStore:
    """An `OnlineStore` in a folder; any number of processes read while one writes."""

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        self._folder = folder
        self._readonly = readonly
        self._environment: Environment | None = share(folder)
        self._heads = _Heads(self._environment, -1, {})
        try:
            self._check_layout()
        except BaseException:
            self.close()
            raise

    def get_many(self, wanted: Mapping[StoredView, Sequence[bytes]]) -> dict[str, Slice]:
        environment = self._env
        with environment.read() as txn:
            heads, moment = self._heads, txn.id()
            if heads.moment != moment or heads.environment is not environment:
                heads = self._heads = _Heads(environment, moment, {})
            get = txn.get
            return {name: heads.slice(get, name, keys) for (name, _), keys in wanted.items()}

    async def read(self, wanted: Mapping[StoredView, Sequence[bytes]]) -> dict[str, Slice]:
        if sum(map(len, wanted.values())) > _LONG_READ:
            return await asyncio.to_thread(self.get_many, wanted)
        # It takes microseconds: a thread would take longer.
        return self.get_many(wanted)

    def get_state(self, view: StoredView) -> bytes | None:
        with self._env.read() as txn:
            return read_state(txn, view.name)[1]

    def states(self) -> dict[StoredView, bytes]:
        with self._env.read() as txn:
            return {
                StoredView(key[len(STATE) :].decode(), ()): value[GENERATION.size :]
                for key, value in entries(txn, STATE)
            }

    def drop(self, view: StoredView) -> None:
        with self._writing():
            self._env.commit(lambda txn: txn.delete(state_key(view.name)))
            self._sweep()

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
        with self._writing():
            if after is not None and self.get_state(view) != after:
                raise OvertakenError(
                    f"another writer has changed feature view {view_of(view.name)!r}",
                    where=str(self._folder),
                    hint="run `forebay sync` again",
                )
            if replace:
                self._sweep()
                self._replace(view.name, upserts, state)
                self._sweep()
            else:
                self._apply(view.name, upserts, deletes, state)
                self._sweep(_STEP_SWEEPS)

    def items(self, view: StoredView) -> Iterator[tuple[bytes, bytes]]:
        with self._env.read() as txn:
            generation, state = read_state(txn, view.name)
            if state is None:
                return
            prefix = ROW + generation
            for stored, value in entries(txn, prefix):
                key = stored[len(prefix) :]
                if key[:1] == b"\0":
                    yield unpack_long(value)
                else:
                    yield key[1:], value

    def rest(self) -> bool:
        return False  # opened in a moment, and its folder may be another one by then

    def close(self) -> None:
        if self._environment is not None:
            self._environment.release()
            self._environment = None

    @property
    def _env(self) -> Environment:
        if self._environment is None:
            raise ValueError(f"the store {self._folder} is closed")
        return self._environment

    def _check_layout(self) -> None:
        """Mark an empty folder with the layout; a writer empties one of another layout first.

        Raises:
            ForebayError: the rows have another layout, which must not be read as this one.
        """
        with self._env.read() as txn:
            if txn.get(LAYOUT_KEY) == LAYOUT or (self._readonly and not any_entry(txn)):
                return
        if self._readonly:
            raise ForebayError(
                "the online store was written by another version of forebay",
                where=str(self._folder),
                hint="run `forebay sync`, which rewrites it",
            )

        def mark(txn: Any) -> None:
            if txn.get(LAYOUT_KEY) != LAYOUT:
                self._env.empty(txn)
                txn.put(LAYOUT_KEY, LAYOUT)

        with self._writing():
            self._env.commit(mark)

    def _replace(self, view: str, upserts: Rows, state: State) -> None:
        with self._env.read() as txn:
            generation = next_generation(txn)
        # No row of the environment sorts behind those of the new generation.
        last = prefix = ROW + generation
        for batch in in_batches(upserts):
            items, long = split_long(prefix, batch)
            append = ascending(last, items)
            # Sorted, it fills whole pages; sorting is stable, so the later of two rows wins.
            items.sort(key=first)
            self._env.commit(
                partial(put_rows, prefix=prefix, items=items, long=long, append=append)
            )
            last = max([last, *(key for key, _ in items[-1:])])
        final = _state_bytes(state)
        self._env.commit(lambda txn: write_state(txn, view, generation, final))

    def _apply(self, view: str, upserts: Rows, deletes: Iterable[bytes], state: State) -> None:
        # Gone through again where the map was full: what can be read only once is kept.
        rows = list(upserts) if isinstance(upserts, Iterator) else upserts
        gone = list(deletes)

        def apply(txn: Any) -> None:
            generation, known = read_state(txn, view)
            if known is None:
                generation = next_generation(txn)
            prefix = ROW + generation
            for key in gone:
                stored = stored_key(prefix, key)
                if row_of(txn.get(stored), key, packed=stored[len(prefix)] == 0) is not None:
                    txn.delete(stored)
            for batch in in_batches(rows):
                items, long = split_long(prefix, batch)
                put_rows(txn, prefix, items, long, append=False)
            write_state(txn, view, generation, _state_bytes(state))

        self._env.commit(apply)

    def _sweep(self, most: int | None = None) -> None:
        """Remove rows of generations that no view points at, in at most so many transactions."""
        for _ in itertools.count() if most is None else range(most):
            with self._env.read() as txn:
                live = {value[: GENERATION.size] for _, value in entries(txn, STATE)}
                dead = next((g for g in generations(txn) if g not in live), None)
            if dead is None:
                return
            self._env.commit(partial(delete_first, prefix=ROW + dead))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the writers' lock, which the system releases if the process is killed."""
        if self._readonly:
            raise ValueError(f"the store {self._folder} was opened to be read")
        with (self._folder / _LOCK_FILE).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Heads(NamedTuple):
    """What stands before the keys of each view's rows, and its state, since one commit."""

    environment: Environment
    moment: int
    known: dict[str, tuple[bytes, bytes | None]]

    def slice(self, get: _Get, view: str, keys: Sequence[bytes]) -> Slice:
        head = self.known.get(view)
        if head is None:
            found = get(state_key(view))
            head = (b"", None) if found is None else _head(found)
            self.known[view] = head
        whole, state = head
        if state is None:
            return Slice(None, [None] * len(keys))
        rows = [
            get(whole + key) if len(key) < KEY_LIMIT else _get_long(get, whole[:-1], key)
            for key in keys
        ]
        return Slice(state, rows)


def _head(found: bytes) -> tuple[bytes, bytes]:
    return ROW + found[: GENERATION.size] + b"\1", found[GENERATION.size :]


def _get_long(get: _Get, prefix: bytes, key: bytes) -> bytes | None:
    return row_of(get(stored_key(prefix, key)), key)


def _state_bytes(state: State) -> bytes:
    return state if isinstance(state, bytes) else state()
