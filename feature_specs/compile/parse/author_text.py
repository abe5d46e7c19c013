"""A text of the author's, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from feature_specs.errors import Location


@dataclass(frozen=True)
class AuthorText:
    """SQL as it was written.

    Attributes:
        file: what messages call the place where it stands.
    """

    sql: str
    dialect: str
    file: str

    def at(self, line: int | None = None, column: int | None = None) -> Location:
        return Location(self.file, line, column)
