"""Tell how far a long statement has come, while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from feature_specs.progress import Share

#: Seconds between looks.
EVERY = 0.2


@contextmanager
def watch_share(done: Callable[[], float], report: Share) -> Iterator[None]:
    """Report the share of the block's statement that is done, as its engine tells it.

    Once the block ends without an error it is 1.

    Args:
        done: looks how far it is, 0 to 1, from another thread.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(EVERY):
            report(min(max(done(), 0.0), 0.99))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    report(1.0)
