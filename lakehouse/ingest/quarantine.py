"""Quarantine rows that do not fit a source's declared schema, each with its reason.

The table stands beside the one that the rows were for, ``NAME__quarantine``. Iceberg commits one table
at a time, so the quarantine comes first, and the rows of a file are replaced each time that the file
is loaded: whatever is killed in between, the next run leaves each of them there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException

from feature_specs.errors import DataError
from feature_specs.quote import literal, quoted
from lakehouse.commit import BeforeCommit, OvertakenError, commit_rows
from lakehouse.ingest.read_columns import explain_value
from lakehouse.ingest.source import Source
from lakehouse.lake import find_table
from lakehouse.pyiceberg_internals import SteadyTransaction

_SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("content", pa.string()),
        ("digest", pa.string()),
        ("loaded_at", pa.timestamp("us", "UTC")),
    ]
)
_BATCH = 20_000
_TRIES = 20


@dataclass(frozen=True)
class Tests:
    """What a row has to pass: SQL by column, which is false where the value would be changed."""

    by_column: Mapping[str, str]

    def fits(self) -> str:
        """SQL of whether a row passes all of them."""
        return " and ".join(f"coalesce({t}, true)" for t in self.by_column.values()) or "true"


@dataclass(frozen=True)
class Misfit:
    """A row that is not a row of the table: its number in the file, from 1, why, and what it held."""

    row: int
    reason: str
    content: str


def find_misfits(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    tests: Tests,
    wanted: Mapping[str, str],
    timezone: str | None,
) -> list[Misfit]:
    """The rows that do not pass, in the file's order."""
    names = list(tests.by_column)
    if not names:
        return []
    values = ", ".join(f"{quoted(n)}::varchar" for n in names)
    passed = ", ".join(f"coalesce({tests.by_column[n]}, true)" for n in names)
    whole = ", ".join(f"{quoted(n)} := {quoted(n)}::varchar" for n in source.kinds)
    content = f"{source.raw}::varchar" if source.raw else f"to_json(struct_pack({whole}))::varchar"
    found = connection.execute(
        f"select row, content, held, passed from (select row_number() over () as row, {content} "
        f"as content, [{values}] as held, [{passed}] as passed from {source.relation}) "
        "where list_contains(passed, false)"
    )
    misfits = []
    while rows := found.fetchmany(_BATCH):
        for row, text, held, fits in rows:
            reasons = [
                explain_value(source, name, value, wanted[name], timezone)[0]
                for name, value, fit in zip(names, held, fits, strict=True)
                if not fit
            ]
            misfits.append(Misfit(row, "; ".join(reasons), text))
    return misfits


def quarantine_of(identifier: str) -> str:
    """The name of a table's quarantine."""
    return f"{identifier}__quarantine"


def commit_quarantine(
    catalog: Catalog,
    identifier: str,
    misfits: Mapping[Path, Sequence[Misfit]],
    digests: Mapping[Path, str],
) -> None:
    """Make these rows what the quarantine of a table holds of these files.

    Raises:
        DataError: other writers were quicker each time.
    """
    name, now = quarantine_of(identifier), datetime.now(UTC)
    rows = pa.Table.from_pylist(
        [
            {
                "file": str(path), "row": m.row, "reason": m.reason, "content": m.content,
                "digest": digests[path], "loaded_at": now,
            }
            for path, found in misfits.items()
            for m in found
        ],
        schema=_SCHEMA,
    )  # fmt: skip
    for _ in range(_TRIES):
        try:
            _replace(catalog, name, rows, set(digests.values()))
            return
        except (CommitFailedException, OvertakenError):
            continue
    raise DataError(
        f"other writers committed first, {_TRIES} times in a row",
        where=f"table {name}",
        hint="run it again once they are done; nothing was written",
    )


def _replace(catalog: Catalog, name: str, rows: pa.Table, digests: set[str]) -> None:
    table = find_table(catalog, name)
    if table is None:
        if rows.num_rows:
            commit_rows(catalog, name, rows, mode="append", base=BeforeCommit(None))
        return
    mine = f"digest in ({', '.join(map(literal, sorted(digests)))})"
    held = table.scan(row_filter=mine, selected_fields=("row",)).to_arrow().num_rows
    if not held and not rows.num_rows:
        return
    transaction = SteadyTransaction(table)
    if held:
        transaction.delete(mine)
    if rows.num_rows:
        transaction.append(rows)
    transaction.commit_transaction()
