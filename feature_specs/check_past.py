"""Refuse the past of a view that reads a table which is rewritten in place."""

from __future__ import annotations

from collections.abc import Iterable

from feature_specs.errors import TimeRoleError
from feature_specs.leaf import Leaf


def check_past(view: str, leaves: Iterable[Leaf]) -> None:
    """Raise unless the rows that a view reads can be read as they were at any past instant.

    Raises:
        TimeRoleError: a leaf is rewritten in place.
    """
    for leaf in leaves:
        if leaf.written == "mutable":
            raise TimeRoleError(
                f"{leaf.name} is rewritten in place (written: mutable), so the past of feature view "
                f"{view!r} is lost: it can be built and served as it stands, but not joined to a "
                "spine",
                where=leaf.where or f"leaf {leaf.name}",
                hint="for training, read a dbt snapshot of the table, or its changelog",
            )
