"""One feature vector at one instant, and the rows behind it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb

from feature_specs.catalog import Column, ViewEntry
from feature_specs.compile.compiled_view import CompiledView
from feature_specs.errors import DataError, UnknownNameError, did_you_mean
from feature_specs.instants import epoch_us
from feature_specs.names import fold_name
from feature_specs.quote import quoted
from forebay.compilation.compile_project import Compiled
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from lakehouse.lake import open_lake
from lakehouse.relations import connect, define_relations, leaf_relations, pin_relations
from lakehouse.retained import check_all_retained


@dataclass(frozen=True)
class Preview:
    """A vector, some of the rows that it came from, and how many there are.

    Attributes:
        total: None where no single row stands for itself in the query.
        expired: the view's ttl, in seconds, where it is why all features are null.
    """

    features: dict[str, Any]
    rows: list[dict[str, Any]]
    total: int | None
    expired: float | None = None

    def _repr_html_(self) -> str:
        from forebay.show import html_table

        vector = html_table(list(self.features.items()), ("feature", "value"))
        if not self.rows:
            return vector
        said = f"the last {len(self.rows)} of {self.total} visible rows"
        return vector + html_table([list(r.values()) for r in self.rows], list(self.rows[0]), said)


def preview(
    project: Project,
    compiled: Compiled,
    view: str,
    keys: Sequence[str],
    requests: Sequence[str],
    at: datetime,
    limit: int,
    *,
    past: bool = False,
) -> Preview:
    """Evaluate the point-in-time variant for a spine of one row.

    Args:
        past: the instant is not the run's own, so the view has to have a past.

    Raises:
        ForbiddenError: the view is private to another group.
        ForebayError: the view or a key is unknown, or a value has the wrong type.
    """
    catalog = compiled.catalog
    entry = catalog.view(view)
    check_readable(project, catalog, [view])
    connection = connect(catalog)
    leaves = [catalog.leaves[name] for name in entry.leaves]
    pinned = pin_relations(open_lake(catalog.lake), leaf_relations(leaves))
    check_all_retained(catalog, [view], pinned, epoch_us(at), "--at")
    define_relations(connection, pinned)
    given = {
        **given_values(view, keys, entry.entities, "--key"),
        **given_values(view, requests, entry.requests, "--request"),
    }
    define_asked(connection, entry, given, at)
    chosen = compiled.view(view)
    statement = chosen.point_in_time if past else chosen.at_present
    vector = _dicts(connection, statement("forebay_asked", "forebay_asked_at"))[0]
    features = {f.name: vector[f.name] for f in entry.features}
    sql = chosen.trace("forebay_asked", "forebay_asked_at")
    expired = _expired(connection, chosen, features)
    if sql is None:
        return Preview(features, [], None, expired)
    rows = _dicts(connection, f"select * from ({sql}) limit {limit}")
    counted = connection.execute(f"select count(*) from ({sql})").fetchone()
    assert counted is not None
    return Preview(features, rows, int(counted[0]), expired)


def _expired(
    connection: duckdb.DuckDBPyConnection, view: CompiledView, features: Mapping[str, Any]
) -> float | None:
    """The view's ttl in seconds, if features are null that have values without it."""
    ttl = view.view.ttl
    if ttl is None or any(value is not None for value in features.values()):
        return None
    lasting = replace(view.view, ttl=None)
    kept = replace(view, draft=replace(view.draft, view=lasting))
    vector = _dicts(connection, kept.at_present("forebay_asked", "forebay_asked_at"))[0]
    return ttl.total_seconds() if any(vector[name] is not None for name in features) else None


def define_asked(
    connection: duckdb.DuckDBPyConnection,
    entry: ViewEntry,
    given: Mapping[str, str | None],
    at: datetime,
) -> None:
    """Make the spine of one row, its values in their declared types.

    Raises:
        DataError: a value is not of its column's type; names the option.
    """
    columns = dict.fromkeys(entry.entities, "--key")
    columns |= dict.fromkeys(entry.requests, "--request")
    for column, option in columns.items():
        value = given[fold_name(column.name)]
        try:
            connection.execute(f"select cast($value as {column.type})", {"value": value})
        except duckdb.ConversionException:
            raise DataError(
                f"{value!r} is not of type {column.type}",
                where=f"{option} {column.name}",
                hint=f"write {option} {shlex.quote(column.name)}=VALUE with a {column.type}",
            ) from None
    casts = ", ".join(
        f"cast($v{i} as {column.type}) as {quoted(column.name)}" for i, column in enumerate(columns)
    )
    values = {f"v{i}": given[fold_name(column.name)] for i, column in enumerate(columns)}
    connection.execute(
        f"create table forebay_asked as select {casts}, "
        "cast($at as timestamptz) as forebay_asked_at",
        {**values, "at": at},
    )


def given_values(
    view: str, pairs: Sequence[str], columns: Sequence[Column], option: str
) -> dict[str, str]:
    """The value of each column, by its name in lower case, from texts ``NAME=VALUE``.

    Raises:
        DataError: one is missing, given twice, or no such text.
        UnknownNameError: there is no such column.
    """
    names = {fold_name(c.name): c.name for c in columns}
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise DataError(
                f"{pair!r} is not NAME=VALUE", where=option, hint=f"write {option} NAME=VALUE"
            )
        if fold_name(name) not in names:
            raise UnknownNameError(
                f"there is no {name!r} here", where=option, hint=did_you_mean(name, names.values())
            )
        if fold_name(name) in out:
            raise DataError(
                f"{name!r} is given twice", where=option, hint="preview one entity at a time"
            )
        out[fold_name(name)] = value
    missing = [c.name for c in columns if fold_name(c.name) not in out]
    if missing:
        kind = "key" if option == "--key" else "request value"
        raise DataError(
            f"{kind} {' and '.join(map(repr, missing))} is missing",
            where=view,
            hint="add " + " ".join(f"{option} {shlex.quote(name)}=VALUE" for name in missing),
        )
    return out


def _dicts(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = connection.execute(sql)
    names = [d[0] for d in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
