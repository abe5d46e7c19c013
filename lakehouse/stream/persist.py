"""Ask a catalog, broker or registry again that does not answer, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lakehouse.commit import PATIENCE_S, PAUSE_S
from lakehouse.lake import catalog_errors
from lakehouse.stream.broker import BrokerDownError
from lakehouse.stream.schema_registry import RegistryDownError

_T = TypeVar("_T")


def _passing() -> tuple[type[Exception], ...]:
    return (BrokerDownError, RegistryDownError, *catalog_errors())


def persist(work: Callable[[], _T], wait: Callable[[float], None] = time.sleep) -> _T:
    """What ``work`` gives, once catalog, broker and registry answer; after a minute, their error.

    Args:
        work: what may be done any number of times.
        wait: called between tries, with seconds.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return work()
        except _passing():
            if time.monotonic() > deadline:
                raise
            wait(PAUSE_S)
