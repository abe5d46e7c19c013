"""How a variant is told apart from the oracle."""

from __future__ import annotations

from typing import Any


class DisagreementError(Exception):
    """A variant does not give what the oracle gives."""

    def __init__(self, variant: str, what: str, sql: str, detail: dict[str, Any]) -> None:
        self.variant, self.what, self.sql, self.detail = variant, what, sql, detail
        super().__init__(f"{variant}: {what}")
