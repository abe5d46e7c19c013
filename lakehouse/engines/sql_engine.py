"""What is asked of an engine that shares the lake's Iceberg catalog."""

from __future__ import annotations

from typing import Any, Protocol

from feature_specs.progress import Share
from lakehouse.engines.table_names import TableNames


class SqlEngine(Protocol):
    """A connection on which statements run one at a time.

    Methods raise ForebayError, with what is wrong in the words of a user of forebay.
    """

    #: Its dialect, and its names of the lake's tables.
    names: TableNames

    def run(self, sql: str, report: Share | None = None) -> list[tuple[Any, ...]]:
        """Run one statement to its end, and give its rows."""

    def columns(self, sql: str) -> dict[str, str]:
        """The columns of a query, and the engine's types of them; no row is computed."""

    def kill_of(self, run: str) -> None:
        """Cancel statements of a dead run that are still running; best effort."""

    def cancel(self) -> None:
        """End the statement that runs, if any. Any thread may call it."""

    def close(self) -> None:
        """Disconnect."""
