"""Rows of a view's earlier meanings, which stay in the online store until no server reads them.

A view whose query or types change is stored anew under the name of its new meaning (`StoredView`). A
server that has not read the new catalog yet goes on with the rows of the old one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from feature_specs.catalog import ViewEntry
from lakehouse.feature_tables.generations import KEPT_S
from serving.state import ViewState, keys_of, load_state
from serving.stores import OnlineStore, StoredView, view_of

#: How long rows of an earlier meaning stay after those of a later one were written, in seconds: as
#: long as offline, so that both can be switched back to.
GRACE_S = KEPT_S


def retire_earlier(
    store: OnlineStore, views: Sequence[ViewEntry], *, now_us: int | None = None
) -> None:
    """Mark what other meanings of the views are stored as retired, and drop what long has been.

    Args:
        views: that were just synced.
        now_us: the real time, in microseconds since the epoch.
    """
    now = time.time_ns() // 1000 if now_us is None else now_us
    present = {view.name: (view, StoredView.of(view)) for view in views}
    for stored, raw in store.states().items():
        found = present.get(view_of(stored.name))
        if found is None:
            continue
        entry, view = found
        state = load_state(raw)
        if stored.name == view.name:
            # An earlier version of forebay kept no keys: they are known as long as the view means this.
            if state is not None and (state.retired is not None or state.keys is None):
                _mark(store, stored, raw, replace(state, retired=None, keys=keys_of(entry)).dumps())
        elif state is None or _is_over(state, now):
            store.drop(stored)
        elif state.retired is None:
            _mark(store, stored, raw, replace(state, retired=now).dumps())


def overdue(store: OnlineStore, *, now_us: int | None = None) -> list[StoredView]:
    """What is stored of earlier meanings whose time is over, of whichever project's views."""
    now = time.time_ns() // 1000 if now_us is None else now_us
    states = [(stored, load_state(raw)) for stored, raw in store.states().items()]
    return [stored for stored, state in states if state is not None and _is_over(state, now)]


def _is_over(state: ViewState, now: int) -> bool:
    return state.retired is not None and now - state.retired > GRACE_S * 10**6


def _mark(store: OnlineStore, view: StoredView, raw: bytes, state: bytes) -> None:
    store.write(view, (), (), state, replace=False, after=raw)
