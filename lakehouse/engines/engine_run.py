"""A run on another engine: its connection, and scratch tables that are dropped at its end."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from pyiceberg.catalog import Catalog as Lake

from lakehouse.engines.scratch import NAMESPACE, Scratch, drop_dead
from lakehouse.engines.sql_engine import SqlEngine


class EngineRun:
    """Connects on first use, and drops what killed runs left behind.

    Leaving it drops the run's own tables and disconnects.

    Args:
        connect_to: connects, given the name of the run for the engine's own pages.
    """

    def __init__(self, lake: Lake, connect_to: Callable[[str], SqlEngine]) -> None:
        self.lake = lake
        self._connect = connect_to
        self._scratch = Scratch(lake)
        self._engine: SqlEngine | None = None
        self._made = 0

    @property
    def engine(self) -> SqlEngine:
        """The connection."""
        if self._engine is None:
            self._engine = self._connect(self._scratch.run)
            drop_dead(self.lake, self._engine)
            self._scratch.open()
        return self._engine

    def __enter__(self) -> EngineRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._engine is None:
            return
        try:
            self._scratch.drop_all(self._engine)
        finally:
            self._engine.close()

    def new_table(self) -> str:
        """The dotted name of a table that is to be made."""
        self._made += 1
        return self._scratch.name(f"rows{self._made}")

    def step_prefix(self) -> str:
        """What the names of a statement's own tables begin with, as the engine's SQL has them."""
        self._made += 1
        schema = self.engine.names.table(f"{NAMESPACE}.x").rpartition(".")[0]
        return f"{schema}.{self._scratch.run}_step{self._made}_"
