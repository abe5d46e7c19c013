"""How long a call may take, and when to try it again."""

from __future__ import annotations

import random
import time

from feature_specs.errors import ForebayError
from forebay.client.errors import too_late

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


class Deadline:
    """The end of one call's time, and the tries that are left to it.

    Args:
        timeout: seconds from now.
        retries: further tries after the first.
        url: what is asked, for errors.
    """

    def __init__(self, timeout: float, retries: int, url: str) -> None:
        self._timeout, self._retries, self._url = timeout, retries, url
        self._end = time.monotonic() + timeout
        self._tried = 0

    def left(self) -> float:
        """Seconds left, more than 0. Raises UnavailableError if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> ForebayError:
        """The error of a call whose time is up."""
        return too_late(self._url, self._timeout)

    def pause(self, failure: ForebayError, retry_after: float | None = None) -> float:
        """Seconds to wait before the next try.

        Pauses are drawn from a range that doubles, so that clients which failed together do not
        come back together; never less than the server asks for.

        Raises:
            ForebayError: the failure itself, where no tries are left or the pause would outlast
                the deadline.
        """
        if self._tried >= self._retries:
            raise failure
        most = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._tried)
        pause = random.uniform(0, most) + (retry_after or 0.0)
        if pause >= self._end - time.monotonic():
            raise failure
        self._tried += 1
        return pause
