"""Errors of work that goes on: each is said once, until it is another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Complaints:
    """Says errors of things by their names.

    Args:
        complain: told of each error that is new, as ``name: error``.
    """

    complain: Callable[[str], object]
    _last: dict[str, str] = field(default_factory=dict)

    def tell(self, name: str, error: object) -> None:
        """Say a thing's error, unless it was its last one too."""
        if self._last.get(name) != str(error):
            self._last[name] = str(error)
            self.complain(f"{name}: {error}")

    def clear(self, name: str) -> None:
        """A thing works again: its next error is said, whichever it is."""
        self._last.pop(name, None)
