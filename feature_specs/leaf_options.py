"""What the ``meta`` of a leaf may say in YAML, and whether it is said well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_specs.errors import SpecError

#: Fields of ``meta`` that say something of a leaf; others are the author's own.
LEAF_OPTIONS = (
    "valid_from", "valid_to", "valid_to_open", "valid_to_inclusive", "changelog", "time",
    "time_safe", "visibility", "known_later", "written", "timezone", "date_visible",
    "iceberg_table", "rows_per_key", "retention",
)  # fmt: skip

_CHOICES = (
    ("visibility", ("arrival", "event", "history")),
    ("written", ("append", "changelog", "mutable")),
    ("date_visible", ("start", "end")),
)


def check_leaf_options(options: Mapping[str, Any], where: str, *, snapshot: bool) -> None:
    """Check the values of a leaf's options.

    Args:
        snapshot: whether the leaf is a dbt snapshot.

    Raises:
        SpecError: one of them is none of the values it may have.
    """
    if not isinstance(options.get("known_later") or {}, Mapping):
        raise SpecError(
            "meta.known_later is not a mapping",
            where=where,
            hint="write `known_later: {<column>: <time it became known>}`",
        )
    for name, known in _CHOICES:
        if name in options and options[name] not in known:
            raise SpecError(
                f"meta.{name} is {options[name]!r}", where=where, hint="write " + " or ".join(known)
            )
    inclusive = options.get("valid_to_inclusive", False)
    if not isinstance(inclusive, bool):
        raise SpecError(
            f"meta.valid_to_inclusive is {inclusive!r}", where=where, hint="write true or false"
        )
    if inclusive and snapshot and "valid_to" not in options:
        raise SpecError(
            "a snapshot says valid_to_inclusive, but dbt closes a version at the first instant at "
            "which it is not in force",
            where=where,
            hint="remove valid_to_inclusive",
        )
    rows = options.get("rows_per_key")
    if rows is not None and (
        not isinstance(rows, (int, float)) or isinstance(rows, bool) or rows <= 0
    ):
        raise SpecError(
            f"meta.rows_per_key is {rows!r}",
            where=where,
            hint="write about how many rows a key has",
        )
