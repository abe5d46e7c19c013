"""Whose build keeps a feature view's tables, where several dbt projects share a lake."""

from __future__ import annotations

import json

from pyiceberg.catalog import Catalog

from feature_specs.catalog import ViewEntry
from feature_specs.errors import ForebayError
from lakehouse.lake import DEFINITION_PROPERTY, find_table, read_state


def other_owner(
    lake: Catalog, view: ViewEntry, project: str, *, take_over: bool = False
) -> str | None:
    """The project that builds the view, where it is another one and defines it alike; else None.

    A view of a dbt package that its own project has built is left to that one: this project reads it.

    Args:
        project: the one that is about to build.
        take_over: build over the tables of a project that is none of this one's packages.

    Raises:
        ForebayError: the tables are another project's view, or were built from another definition.
    """
    history = find_table(lake, view.history_table)
    text = "" if history is None else history.properties.get(DEFINITION_PROPERTY, "")
    made = json.loads(text) if text else {}
    owner, package = made.get("project", project), view.unique_id.split(".")[1]
    if owner == project or (owner != package and take_over):
        return None
    if owner != package:
        raise ForebayError(
            f"table {view.table} holds feature view {made['view']!r} of project {owner!r}",
            where=view.file,
            hint="give this view another schema or alias; if this project was called so before, "
            "`forebay build --full-refresh` takes the table over",
        )
    state = read_state(history)
    if state is None or state.semantic_hash != view.semantic_hash:
        raise ForebayError(
            f"project {owner!r} has built its feature view {view.name!r} from another definition "
            f"than the one in package {package!r} here",
            where=view.file,
            hint=f"bring the package to the version that was built, or run `forebay build` in {owner!r}",
        )
    return str(owner)
