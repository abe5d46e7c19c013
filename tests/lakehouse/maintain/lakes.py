"""A lake whose tables can be made to look old, and what is in its folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow

from lakehouse.commit import commit_rows
from lakehouse.lake import find_table, load_table
from lakehouse.local_path import local_path
from lakehouse.maintain.expire_snapshots import Pins
from lakehouse.maintain.free_files import Ages
from lakehouse.maintain.maintain_table import Upkeep, all_tables, foreign_files, maintain_table
from lakehouse.stream.fence import FENCE, Fence
from lakehouse.write_rows import write_query
from tests.lakehouse.read_arrow import read_arrow

TABLE = "raw.events"
HOUR = timedelta(hours=1)


def add(lake: Catalog, numbers: Sequence[int], name: str = TABLE) -> int:
    """Append rows. Returns the snapshot."""
    table = commit_rows(lake, name, pa.table({"n": pa.array(numbers, pa.int64())}), mode="append")
    return int(load_table(lake, ".".join(table.name())).metadata.current_snapshot_id or 0)


def write_fence(lake: Catalog, fence: Fence, name: str = TABLE) -> None:
    """Commit no rows as a stream does that has read so far."""
    table, said = load_table(lake, name), {FENCE: fence.dumps()}
    with table.transaction() as change:
        change.set_properties(said)
        change.append(schema_to_pyarrow(table.schema()).empty_table(), snapshot_properties=said)


def replace(lake: Catalog, numbers: Sequence[int], name: str = TABLE) -> int:
    """Make rows a table's whole content, in one snapshot. Returns it."""
    listed = ", ".join(map(str, numbers))
    write_query(
        duckdb.connect(), lake, name, f"select unnest([{listed}])::bigint as n", {"n": "BIGINT"},
        at=datetime.now(UTC), mode="replace", columns="exact", properties={},
        table=find_table(lake, name),
    )()  # fmt: skip
    return int(load_table(lake, name).metadata.current_snapshot_id or 0)


def numbers_of(lake: Catalog, name: str = TABLE) -> list[int]:
    return sorted(read_arrow(load_table(lake, name))["n"].to_pylist())


def files_of(lake: Catalog, name: str = TABLE) -> set[Path]:
    home = Path(local_path(load_table(lake, name).location()))
    return {path for path in home.rglob("*") if path.is_file()}


def named(lake: Catalog, name: str = TABLE) -> set[Path]:
    """All files that pyiceberg reads of the table as it is: an account of its own."""
    table = load_table(lake, name)
    found = {table.metadata_location}
    for snapshot in table.snapshots():
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            found.add(manifest.manifest_path)
            found |= {e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io)}
    return {Path(local_path(uri)) for uri in found}


def age_files(lake: Catalog, by: timedelta, name: str = TABLE) -> None:
    """Let all files of a table look as if they were written earlier."""
    for path in files_of(lake, name):
        then = path.stat().st_mtime - by.total_seconds()
        os.utime(path, (then, then))


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def maintain(
    lake: Catalog,
    now: datetime,
    name: str = TABLE,
    pins: Pins | None = None,
    ages: Ages | None = None,
    *,
    dry_run: bool = False,
) -> Upkeep:
    tables = all_tables(lake)
    return maintain_table(
        lake, name, tables, foreign_files(tables), pins or Pins(), ages or Ages(), now,
        dry_run=dry_run,
    )  # fmt: skip
