"""Sync again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from feature_specs.catalog import Catalog
from serving.stores import OnlineStore, OvertakenError, StoreDownError, open_store
from serving.sync.report import SyncReport
from serving.sync.run import sync


def follow(
    load: Callable[[], Catalog],
    views: Sequence[str] | None = None,
    *,
    every: float,
    stop: threading.Event,
    report: Callable[[SyncReport], None],
) -> None:
    """Sync every ``every`` seconds until ``stop`` is set; report what was not unchanged.

    A view that fails is tried again each time, and reported again only when the reason is another; so
    is a store that does not answer, of which the report names no view.

    Args:
        load: gives the catalog, anew each time, so that a recompiled project is followed too.
    """
    known: dict[str, str | None] = {}
    kept = _KeptStore()
    try:
        while not stop.is_set():
            for done in _round(load(), views, kept):
                if done.action != "unchanged" and not (
                    done.error and done.error == known.get(done.view)
                ):
                    report(done)
                known[done.view] = done.error
            stop.wait(every)
    finally:
        with suppress(StoreDownError):
            kept.close()


def _round(catalog: Catalog, views: Sequence[str] | None, kept: _KeptStore) -> list[SyncReport]:
    try:
        return [*sync(catalog, views, opened=kept.opened), SyncReport("", "unchanged")]
    except (StoreDownError, OvertakenError) as error:
        return [SyncReport("", "failed", error=str(error))]


class _KeptStore:
    """A store that stays open between rounds, where it is one that takes long to open and close."""

    def __init__(self) -> None:
        self._uri = ""
        self._store: OnlineStore | None = None

    @contextmanager
    def opened(self, uri: str, dry_run: bool) -> Iterator[OnlineStore]:
        if uri != self._uri:
            self.close()
        if self._store is None:
            self._store, self._uri = open_store(uri, readonly=dry_run), uri
        try:
            yield self._store
        finally:
            if not self._store.rest():
                self.close()

    def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
