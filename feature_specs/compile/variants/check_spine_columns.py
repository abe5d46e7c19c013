"""Refuse a spine that cannot be joined to views, where its columns are known before it is read."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.compile.variants.join_spine import Joined
from feature_specs.errors import SpecError, did_you_mean
from feature_specs.names import OWN_COLUMNS, fold_name


def check_spine_columns(
    spine: str, columns: Sequence[str] | None, timestamp: str, views: Sequence[Joined]
) -> None:
    """Compare a spine's columns with what views read of it and add to it.

    Args:
        spine: SQL of a relation; a query in parentheses may name its columns itself.
        columns: of the spine, where the caller knows them.

    Raises:
        SpecError: a key, a request value or the instants are missing, or a column has the name of a
            feature or of forebay's own columns.
    """
    given = columns if columns is not None else _named_columns(spine)
    if given is None:
        return
    known = {fold_name(name) for name in given}
    needed = {fold_name(timestamp): f"the column of instants {timestamp!r}"}
    for view in views:
        of = f"of feature view {view.draft.view.name!r}"
        keys = map(view.draft.spine_key, view.draft.view.entities)
        needed |= {key: f"entity {view.draft.label(key)!r} {of}" for key in keys}
        needed |= {fold_name(r.name): f"request value {r.name!r} {of}" for r in view.draft.requests}
    missing = {name: what for name, what in needed.items() if name not in known}
    if missing:
        raise SpecError(
            f"the spine lacks {' and '.join(missing.values())}",
            where=spine,
            hint="add it to the spine under that name; " + did_you_mean(next(iter(missing)), given),
        )
    features = {fold_name(column) for view in views for _, column in view.columns}
    for name in given:
        if fold_name(name) in features or fold_name(name).startswith(OWN_COLUMNS):
            raise SpecError(
                f"spine column {name!r} is named like a feature, or begins with {OWN_COLUMNS} as "
                "forebay's own columns do",
                where=spine,
                hint="rename it in the spine",
            )


def _named_columns(spine: str) -> list[str] | None:
    """The columns that a query in parentheses names; None where it may have others."""
    if not spine.lstrip().startswith("("):
        return None
    try:
        query = sqlglot.parse_one(spine, dialect=DUCKDB).unnest()
    except SqlglotError:
        return None  # which DuckDB may read all the same
    if not isinstance(query, exp.Select) or query.is_star:
        return None
    names = [item.alias_or_name for item in query.selects]
    return names if all(names) else None
