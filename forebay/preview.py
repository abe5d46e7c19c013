"""One feature vector at one instant, and the rows behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from feature_specs.catalog import Column
from feature_specs.errors import DataError, UnknownNameError, did_you_mean
from feature_specs.names import fold_name
from forebay.compile_project import Compiled
from lakehouse.lake import open_lake
from lakehouse.relations import connect, define_relations, leaf_relations, pin_relations


@dataclass(frozen=True)
class Preview:
    """A vector, some of the rows that it came from, and how many there are.

    ``total`` is None where the query has no rows that stand for themselves.
    """

    features: dict[str, Any]
    rows: list[dict[str, Any]]
    total: int | None


def preview(
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
        ForebayError: the view or a key is unknown, or a value has the wrong type.
    """
    catalog = compiled.catalog
    entry = catalog.view(view)
    connection = connect(catalog)
    leaves = [catalog.leaves[name] for name in entry.leaves]
    define_relations(connection, pin_relations(open_lake(catalog.lake), leaf_relations(leaves)))
    given = {
        **_values(keys, entry.entities, "--key"),
        **_values(requests, entry.requests, "--request"),
    }
    columns = ", ".join(
        f'cast($v{i} as {column.type}) as "{column.name}"'
        for i, column in enumerate((*entry.entities, *entry.requests))
    )
    values = {
        f"v{i}": given.get(fold_name(c.name))
        for i, c in enumerate((*entry.entities, *entry.requests))
    }
    try:
        connection.execute(
            f"create table forebay_asked as select {columns}, cast($at as timestamptz) as forebay_asked_at",
            {**values, "at": at},
        )
    except duckdb.ConversionException as error:
        raise DataError(
            str(error).splitlines()[0], where="--key", mend="give a value of the key's type"
        ) from None
    chosen = compiled.view(view)
    statement = chosen.point_in_time if past else chosen.at_present
    vector = _dicts(connection, statement("forebay_asked", "forebay_asked_at"))[0]
    features = {f.name: vector[f.name] for f in entry.features}
    sql = chosen.trace("forebay_asked", "forebay_asked_at")
    if sql is None:
        return Preview(features, [], None)
    rows = _dicts(connection, f"select * from ({sql}) limit {limit}")
    counted = connection.execute(f"select count(*) from ({sql})").fetchone()
    assert counted is not None
    return Preview(features, rows, int(counted[0]))


def _values(pairs: Sequence[str], columns: Sequence[Column], option: str) -> dict[str, str]:
    names = {fold_name(c.name): c.name for c in columns}
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise DataError(f"{pair!r} is no name=value", where=option, mend="write name=value")
        if fold_name(name) not in names:
            raise UnknownNameError(
                f"there is no {name!r} here", where=option, mend=did_you_mean(name, names.values())
            )
        out[fold_name(name)] = value
    missing = [name for folded, name in names.items() if folded not in out]
    if missing and option == "--key":
        raise DataError(
            f"key {missing[0]!r} is missing", where=option, mend=f"add --key {missing[0]}=VALUE"
        )
    return out


def _dicts(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = connection.execute(sql)
    names = [d[0] for d in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
