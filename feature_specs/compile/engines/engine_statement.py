"""A statement on its way from DuckDB's dialect to another engine's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.engines.rewrite.trace_columns import Schema, Trace


@dataclass
class EngineStatement:
    """What the rewrites change in place.

    Attributes:
        schema: table to column to DuckDB type, of the tables read, where they are known.
        spine_columns: the columns of the user's spine, where they are known.
    """

    tree: exp.Expr
    engine: str
    schema: Schema = field(default_factory=dict)
    spine_columns: Sequence[str] | None = None
    _trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """Which columns each relation had when the statement was last traced."""
        assert self._trace is not None, "a step that reads the trace stands before the first one"
        return self._trace

    def trace_again(self) -> None:
        """Follow the statement as it stands now."""
        self._trace = Trace(self.tree, self.schema, self.spine_columns)
