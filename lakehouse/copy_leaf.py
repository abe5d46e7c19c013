"""Copy the rows of a seed, snapshot or model from the project's database into its Iceberg table.

Only what differs is written: rows that came are appended, so that a step stays cheap; where rows
were removed or changed the whole table is replaced in one commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.catalog import LeafEntry
from feature_specs.errors import DataError
from feature_specs.quote import quoted
from lakehouse.commit import commit_rows
from lakehouse.duckdb_types import column_types
from lakehouse.lake import find_table
from lakehouse.scan import pin
from lakehouse.stored_types import stored_columns, stored_select

#: Table property: the dbt node whose rows the table holds.
NODE_PROPERTY = "forebay.node"

#: Beside catalog.json and of its format: the leaves that are to be copied before it is written.
LEAVES = "leaves.json"
#: Beside it: by dbt node, the errors of those that could not be copied.
REFUSED = "leaves_refused.json"

How = Literal["unchanged", "appended", "replaced", "missing"]


@dataclass(frozen=True)
class Copied:
    """Result of one copy.

    Attributes:
        how: ``missing`` where the project's database has no such table (yet).
        added, removed: rows of the Iceberg table that came and went; a changed row is both.
    """

    how: How
    added: int = 0
    removed: int = 0


def copy_leaf(connection: duckdb.DuckDBPyConnection, lake: Catalog, leaf: LeafEntry) -> Copied:
    """Bring a leaf's Iceberg table to the rows of its dbt node.

    Args:
        connection: to the project's database; gets temporary tables of ours.

    Raises:
        DataError: a column's type cannot be kept, the table is somebody else's, or a snapshot has
            lost versions.
    """
    assert leaf.origin is not None
    node = leaf.origin.node
    try:
        found = connection.sql(f"select * from {leaf.origin.relation}")
    except duckdb.CatalogException:
        return Copied("missing")
    columns = stored_columns(found, node)
    select = f"select {stored_select(columns, found)} from {leaf.origin.relation}"
    table = find_table(lake, leaf.table)
    if table is None:
        rows = _fetch(connection, select, node)
        _commit(lake, leaf, rows)
        return Copied("replaced", rows.num_rows)
    _check_own(table, leaf)
    return _bring_up_to_date(connection, lake, leaf, table, select, columns)


def _bring_up_to_date(
    connection: duckdb.DuckDBPyConnection,
    lake: Catalog,
    leaf: LeafEntry,
    table: Table,
    select: str,
    columns: dict[str, str],
) -> Copied:
    assert leaf.origin is not None
    node, kept = leaf.origin.node, column_types(table.schema())
    held = pin(table).sql
    version = leaf.origin.version_id
    if version in kept and version in columns:
        _check_versions(connection, leaf, quoted(version), select, held)
    if list(kept.items()) != list(columns.items()):
        rows = _fetch(connection, select, node)
        retyped = [n for n, kind in kept.items() if n in columns and columns[n] != kind]
        _commit(lake, leaf, rows, retyped)
        return Copied("replaced", rows.num_rows, _count(connection, held))
    if _fingerprint(connection, select, columns) == _fingerprint(connection, held, columns):
        return Copied("unchanged")
    added, removed = _compare(connection, select, held, columns)
    if removed:
        _commit(lake, leaf, _fetch(connection, select, node))
        return Copied("replaced", added, removed)
    if not added:
        return Copied("unchanged")
    listed = ", ".join(map(quoted, columns))
    repeated = f"select {listed} from forebay_differing, range(forebay_surplus)"
    rows = connection.sql(repeated).to_arrow_table()
    commit_rows(lake, leaf.table, rows, mode="append")
    return Copied("appended", added)


def _compare(
    connection: duckdb.DuckDBPyConnection, select: str, held: str, columns: dict[str, str]
) -> tuple[int, int]:
    """Fill ``forebay_differing`` with the rows of one side. Returns rows that came and went."""
    listed = ", ".join(map(quoted, columns))
    connection.execute(
        "create or replace temp table forebay_differing as "
        f"select {listed}, cast(sum(forebay_side) as bigint) as forebay_surplus from "
        f"(select {listed}, 1 as forebay_side from ({select}) union all "
        f"select {listed}, -1 from ({held})) group by {listed} having forebay_surplus <> 0"
    )
    ((added, removed),) = connection.execute(
        "select coalesce(sum(forebay_surplus) filter (where forebay_surplus > 0), 0), "
        "coalesce(-sum(forebay_surplus) filter (where forebay_surplus < 0), 0) "
        "from forebay_differing"
    ).fetchall()
    return int(added), int(removed)


def _fingerprint(
    connection: duckdb.DuckDBPyConnection, select: str, columns: dict[str, str]
) -> tuple[object, ...]:
    """A hash of a bag of rows: one pass over each side settles the usual case, no change."""
    listed = ", ".join(map(quoted, columns))
    (row,) = connection.execute(
        "select count(*), sum(forebay_hash), bit_xor(forebay_hash) from "
        f"(select hash({listed}) as forebay_hash from ({select}))"
    ).fetchall()
    return tuple(row)


def _fetch(connection: duckdb.DuckDBPyConnection, select: str, node: str) -> pa.Table:
    try:
        return connection.sql(select).to_arrow_table()
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        raise DataError(
            f"its rows cannot be kept in Iceberg: {str(error).splitlines()[0]}",
            where=node,
            hint="cast the column in the model",
        ) from None


def _count(connection: duckdb.DuckDBPyConnection, select: str) -> int:
    ((rows,),) = connection.execute(f"select count(*) from ({select})").fetchall()
    return int(rows)


def _commit(lake: Catalog, leaf: LeafEntry, rows: pa.Table, retyped: Sequence[str] = ()) -> None:
    assert leaf.origin is not None
    commit_rows(
        lake,
        leaf.table,
        rows,
        mode="replace",
        columns="exact",
        retyped=retyped,
        properties={NODE_PROPERTY: leaf.origin.node},
    )


def _check_own(table: Table, leaf: LeafEntry) -> None:
    """Refuse to overwrite a table that was ingested, or is another project's."""
    assert leaf.origin is not None
    owner = table.properties.get(NODE_PROPERTY)
    if owner != leaf.origin.node:
        whose = f"{owner}'s" if owner else "no dbt node's"
        raise DataError(
            f"its rows are to go into Iceberg table {leaf.table!r}, but that one is {whose}",
            where=leaf.origin.node,
            hint="name another table with `meta: {iceberg_table: <schema>.<name>}`, or drop that one",
        )


def _check_versions(
    connection: duckdb.DuckDBPyConnection, leaf: LeafEntry, version: str, select: str, held: str
) -> None:
    """Refuse if versions are missing: dbt never removes one, so the database file was lost."""
    assert leaf.origin is not None
    ((lost,),) = connection.execute(
        f"select count(*) from (select {version} from ({held})) anti join "
        f"(select {version} from ({select})) using ({version})"
    ).fetchall()
    if lost:
        raise DataError(
            f"{lost} versions that Iceberg table {leaf.table!r} holds are gone from the snapshot",
            where=leaf.origin.node,
            hint="bring back the database file that dbt wrote it to, or drop the Iceberg table to "
            "start its history again",
        )
