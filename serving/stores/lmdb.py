"""The embedded online store: one LMDB environment, a folder.

Each replacement of a view's rows is a new *generation*: rows are written under its number in as many
transactions as they need, then one small transaction points the view's state at it. Readers see the
old generation until then, and a process killed midway leaves rows that nothing points at, which the
next writer removes.

Layout of the one database: ``0x00 view`` -> generation (8 bytes) + state; ``0x01 generation key`` ->
row. A key too long for LMDB is stored by its digest, with the full key before the row.
"""

from __future__ import annotations

import fcntl
import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from feature_specs.errors import ForebayError
from serving.keys import shorten
from serving.stores.environment import Environment, share
from serving.stores.protocol import NoStoreError, Rows, Slice

_STATE = b"\0"
_ROW = b"\1"
_GENERATION = struct.Struct(">Q")
_LENGTH = struct.Struct(">I")
_KEY_LIMIT = 511 - len(_ROW) - _GENERATION.size
_BATCH = 50_000
_LOCK_FILE = "writer.lock"


def open_lmdb(uri: str, readonly: bool) -> LmdbStore:
    """The store of an ``lmdb:///absolute/folder`` URI."""
    url = urlsplit(uri)
    folder = Path(unquote(url.path))
    if url.netloc or not folder.is_absolute():
        raise ForebayError(
            "the folder of an LMDB store must be absolute",
            where=uri,
            mend="write three slashes: lmdb:///absolute/folder",
        )
    if readonly and not (folder / "data.mdb").exists():
        raise NoStoreError(
            "there is no online store yet", where=str(folder), mend="run `forebay sync`"
        )
    return LmdbStore(folder, readonly=readonly)


class LmdbStore:
    """An `OnlineStore` in a folder; any number of processes read while one writes."""

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        self._folder = folder
        self._readonly = readonly
        self._environment: Environment | None = share(folder)

    def get_many(self, wanted: Mapping[str, Sequence[bytes]]) -> dict[str, Slice]:
        with self._env.read() as txn:
            return {view: self._slice(txn, view, keys) for view, keys in wanted.items()}

    def get_state(self, view: str) -> bytes | None:
        with self._env.read() as txn:
            return _read_state(txn, view)[1]

    def put_state(self, view: str, state: bytes) -> None:
        with self._writing():
            self._env.commit(lambda txn: _write_state(txn, view, _read_state(txn, view)[0], state))

    def write(
        self, view: str, upserts: Rows, deletes: Iterable[bytes], state: bytes, *, replace: bool
    ) -> None:
        with self._writing():
            self._sweep()
            if replace:
                self._replace(view, upserts, state)
                self._sweep()
            else:
                self._apply(view, list(upserts), list(deletes), state)

    def items(self, view: str) -> Iterator[tuple[bytes, bytes]]:
        with self._env.read() as txn:
            generation, state = _read_state(txn, view)
            if state is None:
                return
            prefix = _ROW + generation
            for stored, value in _range(txn, prefix):
                key = stored[len(prefix) :]
                if key[:1] == b"\0":
                    yield _unpack(value)
                else:
                    yield key[1:], value

    def close(self) -> None:
        if self._environment is not None:
            self._environment.release()
            self._environment = None

    @property
    def _env(self) -> Environment:
        if self._environment is None:
            raise ValueError(f"the store {self._folder} is closed")
        return self._environment

    def _slice(self, txn: Any, view: str, keys: Sequence[bytes]) -> Slice:
        generation, state = _read_state(txn, view)
        if state is None:
            return Slice(None, [None] * len(keys))
        prefix, get = _ROW + generation, txn.get
        rows: list[bytes | None] = []
        for key in keys:
            short = shorten(key, _KEY_LIMIT - 1)
            if short is None:
                rows.append(get(prefix + b"\1" + key))
            else:
                rows.append(_matching(get(prefix + b"\0" + short), key))
        return Slice(state, rows)

    def _replace(self, view: str, upserts: Rows, state: bytes) -> None:
        with self._env.read() as txn:
            generation = _next_generation(txn)
        prefix = _ROW + generation
        pending = iter(upserts)
        while batch := list(itertools.islice(pending, _BATCH)):
            # Sorted, a batch fills whole pages; sorting is stable, so the later of two rows wins.
            batch.sort(key=_first)
            self._env.commit(partial(_put, prefix=prefix, rows=batch))
        self._env.commit(lambda txn: _write_state(txn, view, generation, state))

    def _apply(self, view: str, upserts: list[Any], deletes: list[bytes], state: bytes) -> None:
        def apply(txn: Any) -> None:
            generation, known = _read_state(txn, view)
            if known is None:
                generation = _next_generation(txn)
            prefix = _ROW + generation
            for key in deletes:
                stored = _stored_key(prefix, key)
                if _matching(txn.get(stored), key, packed=stored[len(prefix)] == 0) is not None:
                    txn.delete(stored)
            _put(txn, prefix, upserts)
            _write_state(txn, view, generation, state)

        self._env.commit(apply)

    def _sweep(self) -> None:
        """Remove the rows of generations that no view points at."""
        while True:
            with self._env.read() as txn:
                live = {value[: _GENERATION.size] for _, value in _range(txn, _STATE)}
                dead = next((g for g in _generations(txn) if g not in live), None)
                if dead is None:
                    return
                keys = [k for k, _ in itertools.islice(_range(txn, _ROW + dead), _BATCH)]
            self._env.commit(partial(_delete, keys=keys))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the writers' lock, which the system releases if the process is killed."""
        if self._readonly:
            raise ValueError(f"the store {self._folder} was opened to be read")
        with (self._folder / _LOCK_FILE).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _first(pair: tuple[bytes, bytes]) -> bytes:
    return pair[0]


def _read_state(txn: Any, view: str) -> tuple[bytes, bytes | None]:
    found = txn.get(_state_key(view))
    if found is None:
        return b"", None
    return found[: _GENERATION.size], found[_GENERATION.size :]


def _write_state(txn: Any, view: str, generation: bytes, state: bytes) -> None:
    txn.put(_state_key(view), (generation or _next_generation(txn)) + state)


def _state_key(view: str) -> bytes:
    key = view.encode()
    return _STATE + (shorten(key, 500) or key)


def _next_generation(txn: Any) -> bytes:
    """A number that no row and no state has: one more than the greatest."""
    used = [value[: _GENERATION.size] for _, value in _range(txn, _STATE)]
    with txn.cursor() as cursor:
        if cursor.last() and cursor.key()[:1] == _ROW:
            used.append(cursor.key()[1 : 1 + _GENERATION.size])
    greatest: int = _GENERATION.unpack(max(used))[0] if used else 0
    return _GENERATION.pack(greatest + 1)


def _generations(txn: Any) -> Iterator[bytes]:
    """The generations that have rows, by one seek each."""
    with txn.cursor() as cursor:
        found = cursor.set_range(_ROW)
        while found:
            generation = cursor.key()[1 : 1 + _GENERATION.size]
            yield generation
            following = _GENERATION.unpack(generation)[0] + 1
            found = cursor.set_range(_ROW + _GENERATION.pack(following))


def _range(txn: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    with txn.cursor() as cursor:
        if not cursor.set_range(prefix):
            return
        for key, value in cursor:
            if not key.startswith(prefix):
                return
            yield key, value


def _stored_key(prefix: bytes, key: bytes) -> bytes:
    short = shorten(key, _KEY_LIMIT - 1)
    return prefix + (b"\1" + key if short is None else b"\0" + short)


def _put(txn: Any, prefix: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
    with txn.cursor() as cursor:
        for key, row in rows:
            stored = _stored_key(prefix, key)
            if stored[len(prefix)] == 0:
                _refuse_collision(txn.get(stored), key)
                row = _LENGTH.pack(len(key)) + key + row
            cursor.put(stored, row)


def _delete(txn: Any, keys: list[bytes]) -> None:
    for key in keys:
        txn.delete(key)


def _unpack(value: bytes) -> tuple[bytes, bytes]:
    """The full key and the row of a value stored under a digest."""
    end = _LENGTH.size + _LENGTH.unpack_from(value)[0]
    return value[_LENGTH.size : end], value[end:]


def _matching(value: bytes | None, key: bytes, *, packed: bool = True) -> bytes | None:
    """The row under a digest, if it is that key's."""
    if value is None or not packed:
        return value
    full, row = _unpack(value)
    return row if full == key else None


def _refuse_collision(value: bytes | None, key: bytes) -> None:
    if value is not None and _matching(value, key) is None:
        raise ForebayError(
            "two keys of more than 500 bytes have one digest",
            where="the online store",
            mend="shorten the key, for example by hashing it in the feature's SQL",
        )
