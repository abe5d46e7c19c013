"""A lake with one view's tables, the steps that maintain them, and the oracle over the same rows."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.transforms import DayTransform

from feature_specs.catalog import Column, Feature, ViewEntry
from feature_specs.compile import CompiledView, compile_view
from feature_specs.compile.leaves.find_join_keys import find_join_keys
from feature_specs.compile.leaves.find_reads import find_reads
from feature_specs.compile.variants.find_reach import find_reach
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.commit import commit_rows
from lakehouse.count_rows import count_rows
from lakehouse.feature_tables.compute_rows import ComputeRows, RowsHere
from lakehouse.feature_tables.feature_types import table_types
from lakehouse.feature_tables.materialize import Advance, advance_view
from lakehouse.lake import STATE_PROPERTY, load_table, open_lake, read_state
from lakehouse.local_path import local_path
from lakehouse.plans import ViewPlan
from lakehouse.scan import define_relation, pin
from tests.feature_specs.oracle import Oracle, Row, add, connect, differences, literal, magnitude
from tests.feature_specs.worlds import EVENTS, QUARTER, US, make_rows
from tests.lakehouse.read_arrow import read_arrow

HOUR = timedelta(hours=1)

#: A history view with ties, a read-time part and a ttl.
HISTORY = FeatureView(
    "history",
    "select k, ts, x, s, f, epoch(now() - ts) as age from events where x is not null",
    ("k",),
    event_time="ts",
    tie_break=("s",),
    ttl=6 * HOUR,
)

_ARROW = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DECIMAL(12,2)": pa.decimal128(12, 2),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}


def entry_of(compiled: CompiledView) -> tuple[ViewEntry, ViewPlan]:
    """What `forebay compile` makes of a view, as the materialization takes it."""
    stored, features = table_types(compiled)
    view = compiled.view
    steps = compiled.stored_queries()
    entry = ViewEntry.of(
        compiled.name,
        f"features.{compiled.name}",
        semantic_hash=compiled.semantic_hash,
        entities=tuple(Column(k, stored[k]) for k in view.entities),
        stored=tuple(Column(n, stored[n]) for n in compiled.stored_names),
        features=tuple(Feature(f.name, features[f.name]) for f in compiled.features),
        event_time=view.event_time,
        ttl=view.ttl,
        leaves=tuple(leaf.name for leaf in compiled.leaves),
        lowering=compiled.lowering,
        joined=find_join_keys(compiled.draft),
        reach=find_reach(compiled.draft),
        reads=find_reads(compiled.draft),
    )
    plan = ViewPlan(
        create=steps.create,
        touched=steps.touched,
        step=steps.step,
        features=compiled.features_over("forebay_stored"),
        deltas=compiled.deltas(),
    )
    return entry, plan


class _Spied:
    """A connection of which somebody sees the statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, spy: Callable[[str], None]) -> None:
        self._connection, self._spy = connection, spy

    def execute(self, sql: str, *given: Any) -> duckdb.DuckDBPyConnection:
        self._spy(sql)
        return self._connection.execute(sql, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@dataclass
class Build:
    """A lake with one view's leaves and tables, and the oracle over the same rows.

    Attributes:
        where: what opens the lake; by default one in the folder.
    """

    folder: Path
    view: FeatureView
    leaves: Sequence[Leaf]
    visible: bool = False
    by_day: bool = False
    spy: Callable[[str], None] | None = None
    rows: dict[str, list[Row]] = field(default_factory=dict)
    where: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        self.lake = open_lake(
            self.where
            or {
                "name": "lake",
                "uri": f"sqlite:///{self.folder}/catalog.db",
                "warehouse": str(self.folder / "warehouse"),
            }
        )
        self.oracle = Oracle(self.view, self.leaves, self.view.sql, visible=self.visible)
        self.compiled = compile_view(self.view, self.leaves)
        self.entry, self.plan = entry_of(self.compiled)
        for leaf in self.leaves:
            self.rows[leaf.name] = []
            self.oracle.load(leaf, [])
            self.append(leaf, [])
            if self.by_day and leaf.event_time is not None:
                table = load_table(self.lake, f"raw.{leaf.name}")
                with table.update_spec() as change:
                    change.add_field(leaf.event_time, DayTransform(), "forebay_day")

    def append(self, leaf: Leaf, rows: Sequence[Row]) -> None:
        """Commit rows to a leaf; an empty batch is a commit too."""
        table = arrow_rows(leaf, rows)
        if self.by_day and rows and leaf.event_time is not None:
            self._append_by_day(leaf, table)
        else:
            commit_rows(self.lake, f"raw.{leaf.name}", table, mode="append")
        add(self.oracle.connection, f"raw_{leaf.name}", leaf.columns, rows)
        self.rows[leaf.name] += rows

    def _append_by_day(self, leaf: Leaf, rows: pa.Table) -> None:
        """A file a day, in one commit (pyiceberg alone partitions no rows)."""
        table = load_table(self.lake, f"raw.{leaf.name}")
        rows = rows.cast(schema_to_pyarrow(table.schema()))
        days = [None if t is None else str(t)[:10] for t in rows[leaf.event_time].to_pylist()]
        paths = []
        for day in sorted(set(days), key=str):
            paths.append(f"{table.location()}/data/{uuid.uuid4()}.parquet")
            local = Path(local_path(paths[-1]))
            local.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows.filter(pa.array([d == day for d in days])), local)
        table.add_files(paths)

    def advance(
        self, at: datetime, *, full_refresh: bool = False, compute: ComputeRows = RowsHere
    ) -> Advance:
        connection = connect()
        if self.spy is not None:
            connection = cast("duckdb.DuckDBPyConnection", _Spied(connection, self.spy))
        pinned = {leaf.name: pin(load_table(self.lake, f"raw.{leaf.name}")) for leaf in self.leaves}
        for name, table in pinned.items():
            define_relation(connection, name, table)
        return advance_view(
            connection, self.lake, self.entry, self.plan, pinned, at,
            full_refresh=full_refresh, compute=compute,
        )  # fmt: skip

    def check(self, at: datetime) -> None:
        """The table, read at its own instant, is F(D, T); the log folds to the same keys."""
        expected = self.oracle.at(at)
        latest = load_table(self.lake, self.entry.table)
        state = read_state(latest)
        assert state is not None and state == read_state(
            load_table(self.lake, self.entry.history_table)
        )
        connection = connect()
        define_relation(connection, "forebay_stored", pin(latest))
        result = connection.execute(self.plan.features.replace("$as_of", literal(at)))
        names = [d[0] for d in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        actual = {tuple(row[e] for e in self.view.entities): row for row in rows}
        assert len(actual) == len(rows) == count_rows(latest) == read_arrow(latest).num_rows
        assert actual.keys() == expected.keys(), f"at {at}"
        scale = magnitude(list(self.rows.values()))
        for key, features in expected.items():
            given = {n: _as_int(actual[key][n], features[n]) for n in features}
            wrong = differences(given, features, scale)
            assert not wrong, f"at {at}, {key}: (actual, expected) = {wrong}"
        define_relation(connection, "log", pin(load_table(self.lake, self.entry.history_table)))
        keys = ", ".join(self.view.entities)
        folded = connection.execute(
            f"select {keys} from (select * from log qualify row_number() over "
            f"(partition by {keys} order by committed_at desc) = 1) where not deleted"
        ).fetchall()
        assert set(folded) == set(expected)

    def lose_second_commit(self, at: datetime) -> None:
        """Advance, then put the latest table back, as if the process had died in between."""
        latest = load_table(self.lake, self.entry.table)
        rows, state = read_arrow(latest), latest.properties[STATE_PROPERTY]
        self.advance(at)
        commit_rows(
            self.lake, self.entry.table, rows, mode="replace", properties={STATE_PROPERTY: state}
        )


def arrow_rows(leaf: Leaf, rows: Sequence[Row]) -> pa.Table:
    """Rows in the order of a leaf's columns, as Arrow."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(leaf.columns)
    return pa.table(
        {
            name: pa.array(list(values), _ARROW[kind])
            for (name, kind), values in zip(leaf.columns.items(), columns, strict=True)
        }
    )


def _as_int(value: Any, like: Any) -> Any:
    """Iceberg keeps wide integers as decimals."""
    return int(value) if isinstance(value, Decimal) and isinstance(like, int) else value


def random_batch(rng: random.Random, at: datetime, known: Sequence[Row]) -> list[Row]:
    """Rows before, at and after the clock, some seen before, some far out of order."""
    rows: list[Row] = []
    for _ in range(rng.choice([0, 0, 1, 2, 6])):
        ts = at + rng.choice([timedelta(), -US, US, -QUARTER, -HOUR, -20 * HOUR, QUARTER, 2 * HOUR])
        loaded = rng.choice([ts, ts, at, at + HOUR, ts + 7 * HOUR, None])
        pool = make_rows(EVENTS, rng.randrange(5))
        row = list(rng.choice(pool))
        row[2], row[3] = rng.choice([ts] * 9 + [None]), loaded
        rows.append(tuple(row))
    if known and rng.random() < 0.3:
        rows.append(rng.choice(known))
    return rows
