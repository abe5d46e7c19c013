"""A project at the edges on which engines differ: floats, decimals, microseconds, late columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog as Lake
from pyiceberg.types import LongType, StringType

from lakehouse.commit import commit_rows, ensure_namespace

FILES = {
    "profiles/profiles.yml": """\
edges:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: target/edges.duckdb
      schema: main
      threads: 1
      settings: {{TimeZone: UTC}}
      plugins:
        - module: forebay.dbt_plugin
          alias: forebay
          config:
            name: lake
            type: sql
            uri: {uri}
            warehouse: {warehouse}
            online: lmdb://online.lmdb
            spark: {spark}
    trino:
      type: trino
      method: none
      host: 127.0.0.1
      port: {port}
      user: tests
      database: {catalog}
      schema: main
""",
    "dbt_project.yml": """\
name: edges
version: "1.0.0"
config-version: 2
profile: edges
model-paths: [models]
macro-paths: [macros, target/forebay/macros]
flags: {send_anonymous_usage_stats: false}
vars: {forebay_now: "2024-02-01 00:00:00+00:00"}
on-run-start: "{{ forebay_ready() }}"
""",
    "models/sources.yml": """\
sources:
  - name: raw
    schema: raw
    tables:
      - name: events
        config: {event_time: ts}
      - name: mapped
        config: {event_time: ts}
      - name: empty
        config: {event_time: ts}
""",
    "models/sums.sql": """\
select k, count(*) as n, sum(i) as whole, sum(d) as money, sum(x) as floats, max(x) as most,
  min(r) as least, avg(i) as mean, count(*) filter (where x > 1) as large, max(word) as word,
  sum(i // 3) as thirds, min(ts) as since, count(distinct word) as words
from {{ source('raw', 'events') }} where ts > current_timestamp - interval '10' day group by k
""",
    "models/lists.sql": """\
select k, list(i order by ts, i) as all_i, median(i) as middle, median(x) filter (where x < 100) as half,
  string_agg(word, ',' order by ts, i) as said
from {{ source('raw', 'events') }} where ts > current_timestamp - interval '3' day group by k
""",
    "models/last_event.sql": """\
select k, ts, i, x, d, r, word, day, flag, local, newer, old_name
from {{ source('raw', 'events') }}
""",
    "models/mapped_sums.sql": """\
select k, sum(v) as v from {{ source('raw', 'mapped') }} group by k
""",
    "models/none.sql": """\
select k, count(*) as rows_of_none from {{ source('raw', 'empty') }} group by k
""",
    "models/views.yml": """\
models:
  - name: sums
    config: {materialized: feature_view, meta: {feature_view: {entities: [k]}}}
  - name: lists
    config: {materialized: feature_view, meta: {feature_view: {entities: [k]}}}
  - name: last_event
    config:
      materialized: feature_view
      event_time: ts
      meta: {feature_view: {entities: [k], tie_break: [i]}}
  - name: mapped_sums
    config: {materialized: feature_view, meta: {feature_view: {entities: [k]}}}
  - name: none
    config: {materialized: feature_view, meta: {feature_view: {entities: [k]}}}
exposures:
  - name: edges
    type: ml
    owner: {name: Edges}
    depends_on: [ref('sums'), ref('lists'), ref('last_event'), ref('mapped_sums'), ref('none')]
    config: {meta: {feature_service: {features: [sums.*, lists.*, last_event.*, mapped_sums.*, none.*]}}}
  - name: small
    type: ml
    owner: {name: Edges}
    depends_on: [ref('none')]
    config: {meta: {feature_service: {features: [none.*]}}}
""",
}
_BASE = datetime(2024, 1, 1, tzinfo=UTC)
_FLOATS = [0.1, float("nan"), 2.5, float("inf"), -0.0, None, 1e300, float("-inf"), 16777217.0]


def _time(n: int) -> datetime:
    return _BASE + timedelta(hours=7 * n, microseconds=n % 3)


def _events(count: int) -> pa.Table:
    numbers = range(count)
    return pa.table({
        "k": pa.array([["a", "B", "é", ""][n % 4] for n in numbers]),
        "ts": pa.array([_time(n) for n in numbers], pa.timestamp("us", "UTC")),
        "i": pa.array([None if n % 7 == 0 else (-1) ** n * n * 1_000_003 for n in numbers], pa.int64()),
        "x": pa.array([_FLOATS[n % len(_FLOATS)] if n > 20 else n / 3 for n in numbers]),
        "r": pa.array([n / 7 for n in numbers], pa.float32()),
        "d": pa.array([Decimal(n * 37 - 99) / 100 for n in numbers], pa.decimal128(18, 2)),
        "word": pa.array([["Z", "a", "ä ", None, "'x'"][n % 5] for n in numbers]),
        "day": pa.array([_time(n).date() for n in numbers]),
        "flag": pa.array([n % 3 == 0 if n % 4 else None for n in numbers]),
        "local": pa.array([_time(n).replace(tzinfo=None) for n in numbers], pa.timestamp("us")),
        "name_before": pa.array([f"n{n}" for n in numbers]),
    })  # fmt: skip


def write_tables(lake: Lake, root: Path) -> None:
    """Load the tables; after their last rows columns of ``events`` are added and renamed."""
    commit_rows(lake, "raw.events", _events(20), mode="append")
    commit_rows(lake, "raw.events", _events(60).slice(20), mode="append")
    with lake.load_table("raw.events").update_schema() as change:
        change.add_column("newer", LongType())
        change.rename_column("name_before", "old_name")
    empty = pa.table(
        {"k": pa.array([], pa.string()), "ts": pa.array([], pa.timestamp("us", "UTC"))}
    )
    lake.create_table("raw.empty", schema=empty.schema)
    _write_mapped(lake, root)


def _write_mapped(lake: Lake, root: Path) -> None:
    """A table whose file has no ids of fields and is read by names."""
    ensure_namespace(lake, "raw.mapped")
    rows = _events(30).select(["k", "ts", "i"]).rename_columns(["k", "ts", "v"])
    file = root / "mapped.parquet"
    pq.write_table(rows, file)
    table = lake.create_table("raw.mapped", schema=rows.schema)
    table.add_files([file.as_uri()])
    assert "schema.name-mapping.default" in lake.load_table("raw.mapped").properties
    assert isinstance(table.schema().find_type("k"), StringType)


def write_spine(path: Path, count: int = 80) -> Path:
    """Keys and instants on, before and after events, with nulls, and columns that Iceberg lacks."""
    numbers = range(count)
    at = [_time(n) + timedelta(microseconds=n % 3 - 1) for n in numbers]
    table = pa.table({
        "k": pa.array([["a", "B", "é", "", None, "zz"][n % 6] for n in numbers]),
        "event_timestamp": pa.array([None if n % 11 == 5 else at[n] for n in numbers], pa.timestamp("us", "UTC")),
        "Label": pa.array([n % 2 for n in numbers], pa.int8()),
        "big": pa.array([2**63 + n for n in numbers], pa.uint64()),
        "nested": pa.array([{"a": n, "b": [n]} for n in numbers]),
    })  # fmt: skip
    pq.write_table(table, path)
    return path
