"""What the tests ask of an engine that runs SQL, and rows as its INSERT statements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Protocol

_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class EngineError(Exception):
    """The engine refused or failed a statement."""


class EngineServer(Protocol):
    """A running engine."""

    def run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one statement. Raises EngineError."""
        ...


def insert_statements(
    name: str, types: Sequence[str], rows: Sequence[Sequence[Any]], engine: str, batch: int = 200
) -> Iterator[str]:
    """INSERT statements of rows as literals.

    Args:
        types: the engine's types of the columns.
    """
    for start in range(0, len(rows), batch):
        listed = ", ".join(
            "(" + ", ".join(_literal(v, t, engine) for v, t in zip(row, types, strict=True)) + ")"
            for row in rows[start : start + batch]
        )
        yield f"insert into {name} values {listed}"


def _literal(value: Any, kind: str, engine: str) -> str:
    if value is None:
        return f"cast(null as {kind})"
    if isinstance(value, datetime):
        zone = " UTC" if value.tzinfo is not None else ""
        text = f"{value:%Y-%m-%d %H:%M:%S.%f}{zone}"
        return f"cast('{text}' as {kind})"
    if isinstance(value, date):
        return f"date '{value}'"
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        if engine == "spark":
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"cast('{quoted}' as {kind})"
    if isinstance(value, float):
        text = repr(value) if math.isfinite(value) else f"'{_NOT_FINITE[repr(value)]}'"
        return f"cast({text} as {kind})"
    return f"cast({value} as {kind})"
