"""Poll something for as long as the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_LOG = logging.getLogger("uvicorn.error")


class Watch:
    """One thing that is looked at every so often.

    An error that nobody foresaw does not end the watch, or a revoked key would stay good and a new
    project unseen: it is logged with its traceback, and stays the `problem` until a look succeeds.

    Args:
        name: what is looked at, as a message names it.
        look: raises only where it has a defect; errors that can be foreseen are its own affair.
        every_s: seconds between two looks.
    """

    def __init__(self, name: str, look: Callable[[], Awaitable[None]], every_s: float) -> None:
        self._name, self._look, self._every_s = name, look, every_s
        self.problem: str | None = None

    async def run(self) -> None:
        """Look until the task is cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            # A task of its own keeps what it raised, so that no clause here has to catch everything.
            task = asyncio.ensure_future(self._look())
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
            self._note(None if task.cancelled() else task.exception())

    def _note(self, error: BaseException | None) -> None:
        if error is None:
            self.problem = None
            return
        if self.problem is None:
            _LOG.error("%s cannot be looked at", self._name, exc_info=error)
        self.problem = f"{self._name} cannot be looked at: {error!r}; the server's log tells more"
