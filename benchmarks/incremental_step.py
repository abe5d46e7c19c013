"""A step of 10k new events over more history, and over more entities, beside F(T1) in full.

    python benchmarks/incremental_step.py [--rows 10000000 100000000] [--keys 100000] [--runs 7]
    python benchmarks/incremental_step.py --rows 10000000 --keys 100000 5000000 --full-runs 0

Every number of rows with every number of keys: events, 90 days of them in an Iceberg table
partitioned by day, and a view of three windows, each a count and a sum of decimals; the widest spans the history. Each step commits 10,000 events of the next
minute (one in a hundred is up to two days late) and then brings the feature table to the end of that
minute: load the leaf, pin it, `lakehouse.feature_tables.materialize.advance_view`, both commits of it and the piece
of cleaning that falls due. Bytes written are all new files of the view's tables. In full is the
same with everything recomputed, and, apart, F(T1) as one query of DuckDB's over the same files with nothing
written. Afterwards the table must equal F(T1), value by value. Exits with 1 where a ratio is missed.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.transforms import DayTransform

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.catalog import Column, Feature, ViewEntry
from feature_specs.instants import from_epoch_us
from lakehouse.commit import TABLE_PROPERTIES, ensure_namespace
from lakehouse.feature_tables.feature_types import table_types
from lakehouse.feature_tables.materialize import Advance, advance_view
from lakehouse.lake import find_table, load_table, open_lake, read_state
from lakehouse.local_path import local_path
from lakehouse.plans import ViewPlan
from lakehouse.relations import tune
from lakehouse.scan import Pinned, define_relation, pin

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 90
WINDOWS = (7, 30, 90)
MINUTE = timedelta(minutes=1)
EVENTS = Leaf(
    "events",
    {"k": "BIGINT", "ts": "TIMESTAMP WITH TIME ZONE", "amount": "DECIMAL(12,2)"},
    event_time="ts",
)
#: A step over the longest history to one over the shortest, and F(T1) in full to a step.
MOST_GROWTH, LEAST_GAIN = 1.5, 50.0
#: A step over so many times the entities to one over the fewest: up to 50 times, and beyond.
MOST_BY_ENTITIES = {50: 1.5, 500: 3.0}


def view_of(windows: list[int]) -> FeatureView:
    """Three windows, each a count and a sum."""
    items = []
    for days in windows:
        test = f"filter (where ts > current_timestamp - interval '{days}' day)"
        items += [f"count(*) {test} as n{days}", f"sum(amount) {test} as s{days}"]
    widest = max(windows)
    sql = (
        f"select k, {', '.join(items)} from events "
        f"where ts > current_timestamp - interval '{widest}' day group by k"
    )
    return FeatureView("spending", sql, ["k"])


@dataclass
class World:
    """A lake with the events, and the view's tables."""

    folder: Path
    view: FeatureView
    keys: int
    at: datetime = START + timedelta(days=DAYS)
    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    def __post_init__(self) -> None:
        tune(self.connection)
        uri, warehouse = f"sqlite:///{self.folder}/catalog.db", str(self.folder / "warehouse")
        self.lake: Catalog = open_lake({"name": "lake", "uri": uri, "warehouse": warehouse})
        compiled = compile_view(self.view, [EVENTS])
        stored, features = table_types(compiled)
        steps = compiled.stored_queries()
        self.entry = ViewEntry.of(
            compiled.name,
            "features.spending",
            semantic_hash=compiled.semantic_hash,
            entities=(Column("k", stored["k"]),),
            stored=tuple(Column(n, stored[n]) for n in compiled.stored_names),
            features=tuple(Feature(f.name, features[f.name]) for f in compiled.features),
            leaves=("events",),
            lowering=compiled.lowering,
        )
        self.plan = ViewPlan(
            create=steps.create,
            touched=steps.touched,
            step=steps.step,
            features=compiled.features_over("forebay_stored"),
            deltas=compiled.deltas(),
        )

    def load_history(self, rows: int) -> None:
        """A file a day, rows in order of time, all days in one commit; nothing if it is there."""
        state = read_state(find_table(self.lake, self.entry.history_table))
        if state is not None:
            self.at = from_epoch_us(state.at)
        if find_table(self.lake, "raw.events") is not None:
            return
        ensure_namespace(self.lake, "raw.events")
        schema = pa.schema(
            [
                ("k", pa.int64()),
                ("ts", pa.timestamp("us", "UTC")),
                ("amount", pa.decimal128(12, 2)),
            ]
        )
        table = self.lake.create_table("raw.events", schema, properties=TABLE_PROPERTIES)
        with table.update_spec() as change:
            change.add_field("ts", DayTransform(), "ts_day")
        each = rows // DAYS
        gap = timedelta(days=1) / each
        paths = [self._file(START + timedelta(days=day), each, gap, day) for day in range(DAYS)]
        table.add_files(paths, check_duplicate_files=False)

    def add_events(self, count: int) -> None:
        """Events of the minute that comes, and a few late ones, in one commit."""
        late, seed = count // 100, int(self.at.timestamp())
        paths = [self._file(self.at + MINUTE / count, count - late, MINUTE / count, seed)]
        for days in (1, 2):
            moment = self.at - timedelta(days=days)
            paths.append(self._file(moment, late // 2, MINUTE / count, -seed - days))
        load_table(self.lake, "raw.events").add_files(paths, check_duplicate_files=False)

    def _file(self, start: datetime, rows: int, gap: timedelta, seed: int) -> str:
        uri = f"{load_table(self.lake, 'raw.events').location()}/data/{uuid.uuid4()}.parquet"
        path = Path(local_path(uri))
        path.parent.mkdir(parents=True, exist_ok=True)
        us, step = int(start.timestamp() * 1_000_000), gap / timedelta(microseconds=1)
        self.connection.execute("set preserve_insertion_order = true")
        cents = f"(hash(i, {seed}, 'amount') % 25000)::bigint - 5000"
        self.connection.execute(
            f"copy (select (hash(i, {seed}) % {self.keys})::bigint as k, "
            f"make_timestamptz({us} + (i * {step})::bigint) as ts, "
            f"cast(({cents}) / 100 as decimal(12, 2)) as amount from range({rows}) as r(i)) "
            f"to '{path}' (format parquet, compression zstd, row_group_size 65536, "
            "field_ids {k: 1, ts: 2, amount: 3})"
        )
        self.connection.execute("set preserve_insertion_order = false")
        return uri

    def pinned(self) -> Pinned:
        return pin(load_table(self.lake, "raw.events"))

    def step(self) -> Advance:
        return advance_view(
            self.connection, self.lake, self.entry, self.plan, {"events": self.pinned()}, self.at
        )

    def in_full(self) -> Advance:
        events = self.pinned()
        define_relation(self.connection, "events", events)
        return advance_view(
            self.connection,
            self.lake,
            self.entry,
            self.plan,
            {"events": events},
            self.at,
            full_refresh=True,
        )

    def query(self) -> None:
        """F(T1) as the author wrote it, leaves cut at T1, into a temporary table."""
        define_relation(self.connection, "events", self.pinned())
        self.connection.execute(
            f"create or replace temp table truth as {self.plan.create}", {"as_of": self.at}
        )

    def written(self) -> int:
        """Bytes of all files of the view's tables; none is ever removed by a step."""
        home = self.folder / "warehouse" / "features"
        return sum(p.stat().st_size for p in home.rglob("*") if p.is_file())

    def differing(self) -> int:
        """Rows of the feature table that are not in F(T1) as last queried, and the other way round."""
        latest = pin(load_table(self.lake, self.entry.table))
        define_relation(self.connection, "latest", latest, temporary=True)
        names = ", ".join(["k", *(c.name for c in self.entry.stored)])
        ((count,),) = self.connection.execute(
            f"select count(*) from ((select {names} from truth except all select {names} from "
            f"latest) union all (select {names} from latest except all select {names} from truth))"
        ).fetchall()
        return int(count)


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Seconds:
    """Medians of one scale."""

    rows: int
    keys: int
    step: float
    full: float
    query: float
    differing: int


def measure(
    folder: Path, rows: int, keys: int, view: FeatureView, options: argparse.Namespace
) -> Seconds:
    """Build one scale, and take the medians of its steps, full builds and plain queries."""
    world = World(folder, view, keys)
    built = timed(lambda: world.load_history(rows))
    world.in_full()
    if options.build_only:
        return Seconds(rows, keys, 0, 0, 0, 0)
    steps, sizes = [], []
    for number in range(options.runs + 1):
        world.add_events(options.events)
        world.at += MINUTE
        if options.profile and number == options.runs:
            with cProfile.Profile() as profile:
                world.step()
            pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
            continue
        done: list[Advance] = []
        before = world.written()
        taken = timed(lambda: done.append(world.step()))  # noqa: B023
        assert done[0].how == "step", done[0].why
        if number:  # the first warms up, and makes the index
            steps.append(taken)
            sizes.append(world.written() - before)
    world.query()
    query = [timed(world.query) for _ in range(options.full_runs)]
    wrong = world.differing()
    full = [timed(world.in_full) for _ in range(options.full_runs)]
    medians = [statistics.median(x or [0.0]) for x in (steps, full, query)]
    found = Seconds(rows, keys, medians[0], medians[1], medians[2], wrong)
    print(
        f"{rows:>11,} rows {done[0].rows:>11,} entities  built in {built:5.1f} s   step "
        f"{found.step * 1000:6.0f} ms ({min(steps) * 1000:.0f} to {max(steps) * 1000:.0f})   "
        f"written {statistics.median(sizes) / 1e6:.1f} MB   in full {found.full:6.2f} s   "
        f"F(T1) alone {found.query:6.2f} s   touched {done[0].touched:,}   "
        f"rows that differ {found.differing}",
        flush=True,
    )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000, 100_000_000])
    parser.add_argument("--keys", type=int, nargs="+", default=[100_000])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--windows", type=int, nargs="+", default=list(WINDOWS), help="days")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--full-runs", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="keep the lakes here, and use those that are there"
    )
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--profile", action="store_true", help="profile the last step of a scale")
    options = parser.parse_args()
    view = view_of(options.windows)
    found = []
    for rows in options.rows:
        for keys in options.keys:
            with tempfile.TemporaryDirectory() as passing:
                name = f"{rows}-{keys}"
                folder = options.folder / name if options.folder else Path(passing)
                folder.mkdir(parents=True, exist_ok=True)
                found.append(measure(folder, rows, keys, view, options))
    if options.build_only:
        return 0
    kept = not any(f.differing for f in found)
    fewest = [f for f in found if f.keys == options.keys[0]]
    if len(fewest) > 1:
        kept &= _within("rows", fewest[0], fewest[-1], fewest[-1].rows, MOST_GROWTH)
    for one in (f for f in found if f.rows == options.rows[0] and f.keys != options.keys[0]):
        times = one.keys / options.keys[0]
        most = next((m for up_to, m in MOST_BY_ENTITIES.items() if times <= up_to), 3.0)
        kept &= _within("keys", found[0], one, one.keys, most)
    if options.full_runs:
        gain, alone = fewest[-1].full / fewest[-1].step, fewest[-1].query / fewest[-1].step
        print(f"in full to a step at {fewest[-1].rows:,}: {gain:.0f} (at least {LEAST_GAIN:.0f})")
        print(f"F(T1) alone, nothing written, to a step: {alone:.0f}")
        kept &= gain >= LEAST_GAIN
    return 0 if kept else 1


def _within(what: str, one: Seconds, other: Seconds, count: int, most: float) -> bool:
    growth = other.step / one.step
    print(f"step at {count:,} {what} to the first: {growth:.2f} (under {most})")
    return growth < most


if __name__ == "__main__":
    sys.exit(main())
