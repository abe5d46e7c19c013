"""The log of served vectors: of a share of the entities asked, what was answered of each view.

A request adds the stored rows that it drew to a list, and waits for nothing; lines are made of them,
read-time features computed once more and keys hashed, by a thread that writes them into a spool.
`serving.served.commit_spool` carries the spool into the lake.
"""

from __future__ import annotations

import hmac
import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from feature_specs.catalog import Column
from feature_specs.instants import epoch_us
from serving.keys import decode_key
from serving.lookup.read import PRESENT, UNAVAILABLE, ViewRows
from serving.served.spool import Spool

#: Vectors that wait to be written.
BUFFERED = 20_000
#: Seconds between writes.
WRITE_S = 0.5


class _Drawn(NamedTuple):
    """One entity's rows of all the views that a request asked."""

    service: str | None
    views: Sequence[ViewRows]


class ServedLog:
    """Keeps a share of what is answered until it is written.

    Attributes:
        dropped: vectors that were drawn and not written, since the start.

    Args:
        share: of the entities that are asked, above 0 and at most 1.
        folder: the spool.
        secret: keys are written as hashes under it; None writes them as they are.
    """

    def __init__(
        self, share: float, folder: Path, secret: bytes | None = None, buffered: int = BUFFERED
    ) -> None:
        self._share, self._secret, self._buffered = share, secret, buffered
        self._random = random.Random().random
        self._spool = Spool(folder)
        self._kept: list[_Drawn] = []
        self.dropped = 0
        self._failed = False

    def record(self, service: str | None, views: Sequence[ViewRows]) -> None:
        """A request was answered from these rows."""
        if not views:
            return
        entities = len(views[0].rows)
        if entities == 1:
            if self._random() < self._share:
                self._keep(_Drawn(service, views))
            return
        for place in self._draw(entities):
            self._keep(_Drawn(service, [_one(view, place) for view in views]))

    def _draw(self, entities: int) -> Iterator[int]:
        """Places of entities, each drawn apart from the others; costs nothing for those left out."""
        if self._share >= 1:
            yield from range(entities)
            return
        place, miss = -1, math.log1p(-self._share)
        while (place := place + 1 + int(math.log(1 - self._random()) / miss)) < entities:
            yield place

    def _keep(self, drawn: _Drawn) -> None:
        if len(self._kept) >= self._buffered:
            self.dropped += 1
        else:
            self._kept.append(drawn)

    def flush(self) -> None:
        """Write what was kept; for one thread at a time."""
        kept, self._kept = self._kept, []
        try:
            written = self._spool.write([self._line(drawn) for drawn in kept])
        except OSError as error:
            written = 0
            if not self._failed:
                print(f"warning: served vectors cannot be logged: {error}", file=sys.stderr)
            self._failed = True
        else:
            self._failed = False
        self.dropped += len(kept) - written

    def close(self) -> None:
        """Write what was kept, and leave it to be committed."""
        self.flush()
        self._spool.finish()

    def _line(self, drawn: _Drawn) -> bytes:
        now = epoch_us(drawn.views[0].now)
        made = [self._view(rows) for rows in drawn.views]
        return orjson.dumps({"at": now, "service": drawn.service, "views": made}) + b"\n"

    def _view(self, rows: ViewRows) -> dict[str, Any]:
        plan, key = rows.plan, rows.keys[0]
        status = rows.absent.get(0, PRESENT)
        hashed = self._secret is not None and key is not None
        return {
            "view": plan.view.name,
            "meaning": plan.view.entry.definition_hash,
            "key_columns": key_columns_text(plan.view.entry.entities),
            "loaded": None if status == UNAVAILABLE else rows.loaded.at,
            "key": None if key is None or hashed else decode_key(key),
            "hash": hash_key(self._secret, key) if self._secret and key is not None else None,
            "key_secret": fingerprint(self._secret) if self._secret and key is not None else None,
            "status": status,
            "features": plan.names,
            "values": [value.decode() for value in rows.vector().values],
            "request": _request(rows),
            "leaves": json.dumps(rows.loaded.leaves) if rows.loaded.leaves is not None else None,
        }


def key_columns_text(columns: Sequence[Column]) -> str:
    """Names and types of a view's key columns, as they are logged: once the view has others, nothing
    else says what the key is."""
    return orjson.dumps([[column.name, column.type] for column in columns]).decode()


def hash_key(secret: bytes, key: bytes) -> str:
    """A key of the store, as it is logged where keys are hashed (HMAC of SHA-256)."""
    return hmac.digest(secret, key, "sha256").hex()


def fingerprint(secret: bytes) -> str:
    """12 digits by which a secret is known again, and from which it cannot be found."""
    return hmac.digest(secret, b"\0fingerprint of the secret", "sha256").hex()[:12]


def _one(view: ViewRows, place: int) -> ViewRows:
    """The rows of one entity, which keep nothing of a large request alive."""
    absent = view.absent.get(place)
    return replace(
        view,
        rows=[view.rows[place]],
        absent={} if absent is None else {0: absent},
        given={name: [values[place]] for name, values in view.given.items()},
        keys=[view.keys[place]],
    )


def _request(rows: ViewRows) -> str | None:
    """The request values that read-time features were computed of, as JSON; None of none."""
    sent = {
        name: rows.given[at][0]
        for feature in rows.plan.features
        if not isinstance(feature, int)
        for name, at, _ in feature.requests
    }
    return json.dumps(sent, default=str) if sent else None
