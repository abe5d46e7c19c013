"""Project the lake's half of docs/capacity.md from figures measured on one core.

    python benchmarks/lake_capacity.py [--rows 600000] [--terabytes-a-day 10] [--days 1095]

Measures, in processor time on this machine: writing rows as files of the lake (zstd), scanning them,
compacting eight files into one, committing a small batch, planning a table of many files, and taking
out snapshots. Prints these, and what they come to at the volumes asked for. Nothing that it prints was
run at that size: bytes and files are counted, cores are what one core does times as many.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog

from lakehouse.commit import commit_rows
from lakehouse.duckdb_types import column_types
from lakehouse.lake import find_table, load_table, open_lake
from lakehouse.maintain.compact_table import compact_table
from lakehouse.maintain.expire_snapshots import Pins, expire_snapshots
from lakehouse.relations import tune
from lakehouse.scan import pin
from lakehouse.write_rows import write_query

TABLE = "raw.events"
TERA, GIGA, DAY = 1e12, 1e9, 86_400
#: What is assumed, not measured: the share of a core that such work gets beside all else.
BUSY = 0.6
#: Seconds of a core to read a JSON message of a stream (docs/performance.md).
MESSAGE = 12e-6
#: Bytes of a file's entry in a manifest, with the bounds of ten columns*.
ENTRY = 250
#: Bytes of a file that compaction aims at, on a lake of this size.
FILE = 512e6
ROW = (
    "(hash(i, 1) % 5000000)::bigint as user_id, (hash(i, 2) % 100000)::bigint as item_id, "
    "make_timestamptz(1704067200000000 + i * 1000) as ts, "
    "make_timestamptz(1704067200000000 + i * 1000 + (hash(i, 3) % 5000000)::bigint) as loaded_at, "
    "cast((hash(i, 4) % 1000000) / 100 as decimal(12, 2)) as amount, "
    "'kind ' || (hash(i, 5) % 40) as kind, (hash(i, 6) % 1000) / 7.0 as score, "
    "md5((i // 20)::varchar) as session, (hash(i, 7) % 2 = 0) as paid, "
    "'/page/' || (hash(i, 8) % 20000) as page"
)


@dataclass(frozen=True)
class Core:
    """What one core does. Rates are of bytes of rows on disk, a second."""

    json_bytes: float
    row_bytes: float
    written: float
    scanned: float
    compacted: float
    commit: float
    planned_files: float
    expired: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--terabytes-a-day", type=float, default=10)
    parser.add_argument("--days", type=int, default=1_095)
    parser.add_argument("--stream-gigabytes", type=float, default=1, help="a second, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        core = measure(Path(folder), options.rows)
    print(
        f"a row of 10 columns: {core.json_bytes:.0f} bytes as JSON, {core.row_bytes:.0f} in zstd Parquet"
    )
    print(
        f"written {core.written / 1e6:,.0f} MB/s a core ({core.written / core.row_bytes:,.0f} rows/s)"
    )
    print(f"scanned {core.scanned / 1e6:,.0f} MB/s a core")
    print(f"compacted {core.compacted / 1e6:,.0f} MB/s a core")
    print(f"a commit of 1,000 rows: {core.commit * 1000:.0f} ms of processor")
    print(
        f"planning: {core.planned_files:,.0f} files/s a core; a snapshot expired: {core.expired * 1000:.1f} ms\n"
    )
    project(core, options.terabytes_a_day * TERA, options.days, options.stream_gigabytes * GIGA)
    return 0


def measure(folder: Path, rows: int) -> Core:
    lake = open_lake(
        {
            "name": "lake",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": f"{folder}/warehouse",
        }
    )
    connection = duckdb.connect()
    tune(connection)
    connection.execute(f"create table rows as select {ROW} from range({rows}) as r(i)")
    ((json_bytes,),) = connection.execute(
        "select avg(strlen(to_json(rows)::varchar)) from rows"
    ).fetchall()
    commit_rows(
        lake, TABLE, connection.sql("select * from rows limit 0").to_arrow_table(), mode="append"
    )
    written = spent(lambda: add(connection, lake, "select * from rows"))
    size = float(bytes_of(lake))
    scan = f"select count(*), sum(amount), max(session), max(page), max(kind), sum(score) from ({pin(load_table(lake, TABLE)).sql})"
    scanned = min(spent(lambda: connection.execute(scan).fetchall()) for _ in range(3))
    for part in range(8):
        add(connection, lake, f"select * from rows where item_id % 64 = {part}")
    before = float(bytes_of(lake)) - size
    compacted = spent(lambda: compact_table(lake, TABLE))
    small = connection.sql("select * from rows limit 1000").to_arrow_table()
    commits = [spent(lambda: commit_rows(lake, TABLE, small, mode="append")) for _ in range(40)]
    files = len(pin(load_table(lake, TABLE)).files)
    planning = min(spent(lambda: pin(load_table(lake, TABLE)).files) for _ in range(3))
    gone: list[int] = []
    later = datetime.now(UTC) + timedelta(hours=2)
    expiry = spent(
        lambda: gone.append(
            len(expire_snapshots(load_table(lake, TABLE), Pins(), later, timedelta(0)))
        )
    )
    return Core(
        float(json_bytes), size / rows, size / written, size / scanned, before / compacted,
        sorted(commits)[len(commits) // 2], files / planning, expiry / max(gone[0], 1),
    )  # fmt: skip


def add(connection: duckdb.DuckDBPyConnection, lake: Catalog, sql: str) -> None:
    table = find_table(lake, TABLE)
    assert table is not None
    write_query(
        connection, lake, TABLE, sql, column_types(table.schema()), at=datetime.now(UTC),
        mode="append", columns="fixed", properties={}, table=table,
    )()  # fmt: skip


def bytes_of(lake: Catalog) -> int:
    return sum(int(e.data_file.file_size_in_bytes) for e in pin(load_table(lake, TABLE)).files)


def project(core: Core, come: float, days: int, streamed: float) -> None:
    """Print what the measured figures come to.

    Args:
        come: bytes of JSON a day.
        streamed: bytes of JSON a second at the peak.
    """
    rows = come / core.json_bytes
    a_day = rows * core.row_bytes
    rate, files, of_a_day = a_day / DAY, a_day * days / FILE, a_day / FILE
    work = {
        "writing each row once": rate / core.written,
        "compacting each byte once": rate / core.compacted,
        "compacting twice, from 8 to 64 to 512 MB": 2 * rate / core.compacted,
    }
    reading = {
        "a day": a_day, "30 days, a view in full": 30 * a_day, "90 days, a training set": 90 * a_day,
    }  # fmt: skip
    writers = streamed / core.json_bytes * MESSAGE / BUSY
    commits = writers / 10
    print(
        f"{come / TERA:.0f} TB of JSON a day: {rows / 1e9:,.0f} billion rows, {a_day / TERA:.2f} TB on disk"
    )
    print(
        f"after {days:,} days: {a_day * days / 1e15:.2f} PB, {rows * days / 1e12:,.0f} trillion rows"
    )
    print(
        f"partitions by day: {days:,}, each of {of_a_day:,.0f} files of {FILE / 1e6:.0f} MB; {files / 1e6:.2f} million files"
    )
    print(f"manifests: {files * ENTRY / 1e9:.2f} GB of entries, {files * ENTRY / 8e6:,.0f} of 8 MB")
    print(
        f"planning: all files {files / core.planned_files:,.0f} s of a core, a day's {of_a_day / core.planned_files:.2f} s"
    )
    for name, cores in work.items():
        print(f"{name}: {cores / BUSY:.1f} cores at {BUSY:.0%}")
    for name, size in reading.items():
        print(f"scanning {name}: {size / core.scanned / 3600:,.1f} core hours")
    print(
        f"{streamed / GIGA:.0f} GB/s of JSON: {streamed / core.json_bytes / 1e6:.1f}M messages/s, {writers:,.0f} processes of a core"
    )
    print(
        f"each commits every 10 s: {commits:.1f} commits/s, {commits * core.commit:.2f} cores; one table takes {1 / core.commit:.0f} a second at most"
    )
    print(
        f"snapshots: {commits * DAY:,.0f} a day, {commits * 3600:,.0f} in the hour that is kept; expiring them {commits * DAY * core.expired:,.0f} s of a core a day"
    )


def spent(call: Callable[[], object]) -> float:
    """Processor seconds of a call, all threads."""
    before = time.process_time()
    call()
    return max(time.process_time() - before, 1e-6)


if __name__ == "__main__":
    sys.exit(main())
