"""Sync again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from feature_specs.catalog import Catalog
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

    A view that fails is tried again each time, and reported again only when the reason is another.

    Args:
        load: gives the catalog, anew each time, so that a recompiled project is followed too.
    """
    known: dict[str, str | None] = {}
    while not stop.is_set():
        for done in sync(load(), views):
            if done.action != "unchanged" and not (
                done.error and done.error == known.get(done.view)
            ):
                report(done)
            known[done.view] = done.error
        stop.wait(every)
