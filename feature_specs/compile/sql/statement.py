"""A point-in-time statement as CTEs and a final SELECT."""

from __future__ import annotations

from dataclasses import dataclass

from feature_specs.compile.draft import Subquery


@dataclass(frozen=True)
class Statement:
    """Common table expressions, and the SELECT over them.

    Attributes:
        prefixes: what the names of each view's CTEs begin with, quotation mark included.
    """

    parts: tuple[Subquery, ...]
    select: str
    prefixes: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The statement as text."""
        ctes = ", ".join(
            f"{p.name} as {'' if p.shared else 'not '}materialized ({p.sql})" for p in self.parts
        )
        return f"with {ctes} {self.select}"
