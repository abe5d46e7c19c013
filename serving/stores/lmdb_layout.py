"""How an LMDB environment holds views: its keys, and rows in transactions' worth.

``0x00`` -> the layout's number; ``0x01 name`` -> generation (8 bytes) + state; ``0x02 generation
0x01 key`` -> row. A key too long for LMDB is stored by its digest, ``0x02 generation 0x00 digest``,
with the full key before the row.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import lt
from typing import Any, TypeAlias

from feature_specs.errors import ForebayError
from serving.keys import shorten
from serving.stores.protocol import Rows, view_of

LAYOUT_KEY, LAYOUT = b"\0", b"2"
STATE = b"\1"
ROW = b"\2"
GENERATION = struct.Struct(">Q")
#: Keys of this length and more are stored by their digest.
#: Bytes of a view's name and its meaning.
_NAME_LIMIT = 500
KEY_LIMIT = 511 - len(ROW) - GENERATION.size
_LENGTH = struct.Struct(">I")
#: Rows, and bytes, of a transaction; and how many rows are taken before both are looked at.
_BATCH, _BATCH_BYTES, _LOOK = 50_000, 32 * 2**20, 2_000

Pair: TypeAlias = tuple[bytes, bytes]


def first(pair: Pair) -> bytes:
    """The key."""
    return pair[0]


def _second(pair: Pair) -> bytes:
    return pair[1]


def any_entry(txn: Any) -> bool:
    """Whether the environment holds anything."""
    with txn.cursor() as cursor:
        return bool(cursor.first())


def read_state(txn: Any, view: str) -> tuple[bytes, bytes | None]:
    """A view's generation and state; an empty generation and None where nothing was written."""
    found = txn.get(state_key(view))
    if found is None:
        return b"", None
    return found[: GENERATION.size], found[GENERATION.size :]


def write_state(txn: Any, view: str, generation: bytes, state: bytes) -> None:
    """Point a view at a generation, a new one where that is empty."""
    txn.put(state_key(view), (generation or next_generation(txn)) + state)


@lru_cache(maxsize=16_384)
def state_key(view: str) -> bytes:
    """Raises ForebayError where the name is longer than LMDB's keys may be."""
    key = view.encode()
    if len(key) > _NAME_LIMIT:
        raise ForebayError(
            f"the name of feature view {view_of(view)[:80]!r}... is too long for an LMDB store",
            where="the online store",
            hint=f"name it in {_NAME_LIMIT - 80} bytes or less",
        )
    return STATE + key


def next_generation(txn: Any) -> bytes:
    """A number that no row and no state has: one more than the greatest."""
    used = [value[: GENERATION.size] for _, value in entries(txn, STATE)]
    with txn.cursor() as cursor:
        if cursor.last() and cursor.key()[:1] == ROW:
            used.append(cursor.key()[1 : 1 + GENERATION.size])
    greatest: int = GENERATION.unpack(max(used))[0] if used else 0
    return GENERATION.pack(greatest + 1)


def generations(txn: Any) -> Iterator[bytes]:
    """The generations that have rows, by one seek each."""
    with txn.cursor() as cursor:
        found = cursor.set_range(ROW)
        while found:
            generation = cursor.key()[1 : 1 + GENERATION.size]
            yield generation
            following = GENERATION.unpack(generation)[0] + 1
            found = cursor.set_range(ROW + GENERATION.pack(following))


def entries(txn: Any, prefix: bytes) -> Iterator[Pair]:
    """The entries whose keys begin so."""
    with txn.cursor() as cursor:
        if not cursor.set_range(prefix):
            return
        for key, value in cursor:
            if not key.startswith(prefix):
                return
            yield key, value


def stored_key(prefix: bytes, key: bytes) -> bytes:
    """The key under which a row is stored, behind its generation's prefix."""
    short = shorten(key, KEY_LIMIT - 1)
    return prefix + (b"\1" + key if short is None else b"\0" + short)


def in_batches(rows: Rows) -> Iterator[list[Pair]]:
    """The rows in transactions' worth: of bounded number and size."""
    pending = iter(rows)
    batch: list[Pair] = []
    size = 0
    while some := list(itertools.islice(pending, _LOOK)):
        batch += some
        size += sum(map(len, map(_second, some)))
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def split_long(prefix: bytes, rows: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Stored keys with their rows; and (key, row) pairs whose keys are too long for LMDB."""
    plain = prefix + b"\1"
    if max(map(len, map(first, rows)), default=0) < KEY_LIMIT:
        return [(plain + key, row) for key, row in rows], []
    short = [(plain + key, row) for key, row in rows if len(key) < KEY_LIMIT]
    return short, [(key, row) for key, row in rows if len(key) >= KEY_LIMIT]


def ascending(last: bytes, items: Sequence[Pair]) -> bool:
    """Whether the keys ascend, from behind ``last``."""
    keys = [last, *map(first, items)]
    return all(map(lt, keys, keys[1:]))


def put_rows(
    txn: Any, prefix: bytes, items: Sequence[Pair], long: Sequence[Pair], append: bool
) -> None:
    """Store what `split_long` gave; with ``append`` behind all that is there, which fills pages whole."""
    for key, row in long:
        stored = stored_key(prefix, key)
        _refuse_collision(txn.get(stored), key)
        txn.put(stored, _LENGTH.pack(len(key)) + key + row)
    with txn.cursor() as cursor:
        _, added = cursor.putmulti(items, append=append)
    if added != len(items):
        # LMDB leaves out, without a word, what it cannot append.
        raise ValueError(f"LMDB appended {added} rows of {len(items)}")


def delete_first(txn: Any, prefix: bytes) -> None:
    """Delete a transaction's worth of the rows under a prefix."""
    with txn.cursor() as cursor:
        found = cursor.set_range(prefix)
        for _ in range(_BATCH):
            if not found or not cursor.key().startswith(prefix):
                return
            cursor.delete()
            found = bool(cursor.key())


def unpack_long(value: bytes) -> tuple[bytes, bytes]:
    """The full key and the row of a value stored under a digest."""
    end = _LENGTH.size + _LENGTH.unpack_from(value)[0]
    return value[_LENGTH.size : end], value[end:]


def row_of(value: bytes | None, key: bytes, *, packed: bool = True) -> bytes | None:
    """The row under a digest, if it is that key's."""
    if value is None or not packed:
        return value
    full, row = unpack_long(value)
    return row if full == key else None


def _refuse_collision(value: bytes | None, key: bytes) -> None:
    if value is not None and row_of(value, key) is None:
        raise ForebayError(
            "two keys of more than 500 bytes have one digest",
            where="the online store",
            hint="shorten the key, for example by hashing it in the feature's SQL",
        )
