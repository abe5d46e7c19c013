"""Refuse two feature views of one name, which dbt lets projects and their packages have."""

from __future__ import annotations

from collections.abc import Mapping

from feature_specs.errors import SpecError
from feature_specs.names import fold_name


def refuse_one_name(names: Mapping[str, str]) -> None:
    """Features are asked for by their view's name, whichever dbt project or package it is of.

    Raises:
        SpecError: two views have one.
    """
    first: dict[str, str] = {}
    for unique_id, name in names.items():
        other = first.setdefault(fold_name(name), unique_id)
        if other != unique_id:
            raise SpecError(
                f"two feature views are named {name!r}, in dbt projects "
                f"{other.split('.')[1]!r} and {unique_id.split('.')[1]!r}",
                where=unique_id,
                hint="rename one of them, or disable it with `+enabled: false`",
            )
