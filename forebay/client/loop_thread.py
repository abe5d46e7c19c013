"""An event loop in a thread, for callers that block, whatever runs in their own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

_Made = TypeVar("_Made")


class LoopThread:
    """Runs coroutines one beside the other. A notebook's own event loop is left alone."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, work: Coroutine[Any, Any, _Made], timeout: float | None) -> _Made:
        """What the work gives.

        Raises:
            TimeoutError: it takes longer, and was ended.
            CancelledError: the loop was closed before it was done.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise CancelledError
            done = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return done.result(timeout)
        except BaseException:
            done.cancel()
            raise

    def close(self) -> None:
        """End what runs, the loop and its thread."""
        with self._lock:
            self._closed = True
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
