"""A dbt project with a seed, snapshots and models that feature views start from, run day by day."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

import forebay

DAY_0 = datetime(2024, 3, 1, 8, tzinfo=UTC)

#: id, segment, balance, and when the row was last changed.
Customer = tuple[int, str, int, datetime]

PROJECT = """
name: shop
profile: shop
model-paths: [models]
seed-paths: [seeds]
snapshot-paths: [snapshots]
macro-paths: [macros, target/forebay/macros]
clean-targets: [target]
flags: {send_anonymous_usage_stats: false}
on-run-start: "{{ forebay_ready() }}"
models:
  shop:
    +materialized: table
    features:
      +materialized: feature_view
      +tags: [feature_view]
"""
PROFILE = """
shop:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: shop.duckdb
      threads: 2
      plugins:
        - module: forebay.dbt_plugin
          alias: forebay
          config:
            name: lake
            type: sql
            uri: sqlite:///lake/catalog.db
            warehouse: lake/warehouse
            online: lmdb://online.lmdb
"""
#: The time of a snapshot is the day that the test is at.
CLOCK = """
{% macro duckdb__snapshot_get_time() %}(select max(moment) from shop.raw.clock){% endmacro %}
"""
RAW = """
sources:
  - name: raw
    schema: raw
    tables: [{name: customers}, {name: orders}]
"""
SNAPSHOTS = """
snapshots:
  - name: customers_check
    relation: source('raw', 'customers')
    config: {unique_key: id, strategy: check, check_cols: [segment, balance],
             hard_deletes: invalidate}
  - name: customers_record
    relation: source('raw', 'customers')
    config: {unique_key: id, strategy: check, check_cols: [segment, balance],
             hard_deletes: new_record}
  - name: customers_stamp
    relation: source('raw', 'customers')
    config:
      unique_key: id
      strategy: timestamp
      updated_at: updated_at
      hard_deletes: invalidate
      dbt_valid_to_current: "timestamp '9999-12-31'"
      snapshot_meta_column_names:
        {dbt_valid_from: since, dbt_valid_to: until, dbt_scd_id: version, dbt_updated_at: changed}
"""
ORDERS = """
{{ config(materialized='incremental') }}
select id as order_id, customer_id, amount, ordered_at, loaded_at from {{ source('raw', 'orders') }}
{% if is_incremental() %} where id not in (select order_id from {{ this }}) {% endif %}
"""
SPENT = """
select customer_id, sum(amount) as spent from {{ source('raw', 'orders') }} group by customer_id
"""
MODELS = """
models:
  - name: fct_orders
    config:
      event_time: ordered_at
      meta: {time_safe: true, loaded_at_field: loaded_at}
  - name: spent
    config: {meta: {written: mutable}}
"""
BY_SEGMENT = """
select c.segment, count(*) as customers, sum(c.balance) as balance, max(s.weight) as weight
from {{ ref('%s') }} as c left join {{ ref('segments') }} as s on c.segment = s.segment
where c.%s is null
group by c.segment
"""
ORDERS_7D = """
select customer_id, count(*) as orders_7d, sum(amount) as amount_7d from {{ ref('fct_orders') }}
where ordered_at > current_timestamp - interval '7' day
group by customer_id
"""
VIEWS = ("by_check", "by_record", "by_stamp")
FEATURES = """
models:
  - {name: by_check, config: {meta: {feature_view: {entities: [segment]}}}}
  - {name: by_record, config: {meta: {feature_view: {entities: [segment]}}}}
  - {name: by_stamp, config: {meta: {feature_view: {entities: [segment]}}}}
  - {name: orders_7d, config: {meta: {feature_view: {entities: [customer_id]}}}}
  - {name: spent_now, config: {meta: {feature_view: {entities: [customer_id]}}}}
exposures:
  - name: segments_v1
    type: ml
    owner: {name: us}
    depends_on: [ref('by_check'), ref('by_record'), ref('by_stamp')]
  - name: orders_v1
    type: ml
    owner: {name: us}
    depends_on: [ref('orders_7d')]
  - name: spent_v1
    type: ml
    owner: {name: us}
    depends_on: [ref('spent_now')]
"""


def make_marts(root: Path) -> None:
    """Write the project; its source tables stand in its DuckDB file alone."""
    macros = Path(forebay.__file__).parent.parent / "macros" / "forebay.sql"
    texts = {
        "dbt_project.yml": PROJECT,
        "profiles/profiles.yml": PROFILE,
        "macros/clock.sql": CLOCK,
        "models/sources.yml": RAW,
        "snapshots/snapshots.yml": SNAPSHOTS,
        "models/marts/fct_orders.sql": ORDERS,
        "models/marts/spent.sql": SPENT,
        "models/marts/marts.yml": MODELS,
        "models/features/by_check.sql": BY_SEGMENT % ("customers_check", "dbt_valid_to"),
        "models/features/by_record.sql": BY_SEGMENT % ("customers_record", "dbt_valid_to"),
        "models/features/by_stamp.sql": BY_SEGMENT % ("customers_stamp", "until"),
        "models/features/orders_7d.sql": ORDERS_7D,
        "models/features/spent_now.sql": "select customer_id, spent from {{ ref('spent') }}",
        "models/features/features.yml": FEATURES,
        "seeds/segments.csv": "segment,weight\nsmall,1\nlarge,3\n",
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy2(macros, root / "macros" / "forebay.sql")


def day(number: float) -> datetime:
    """The instant at which the test stands on a day; fractions lie between two builds."""
    return DAY_0 + timedelta(days=number)


def set_day(
    root: Path,
    number: int,
    customers: Sequence[Customer],
    orders: Iterable[tuple[int, int, int, datetime, datetime]] = (),
) -> None:
    """Make the source tables what they are on a day; orders are only added."""
    with duckdb.connect(root / "shop.duckdb") as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create schema if not exists raw")
        connection.execute("create or replace table raw.clock (moment timestamp)")
        connection.execute("insert into raw.clock values (?)", [day(number).replace(tzinfo=None)])
        connection.execute(
            "create or replace table raw.customers "
            "(id integer, segment varchar, balance smallint, updated_at timestamp)"
        )
        for i, segment, balance, changed in customers:
            naive = changed.replace(tzinfo=None)
            connection.execute(
                "insert into raw.customers values (?, ?, ?, ?)", [i, segment, balance, naive]
            )
        connection.execute(
            "create table if not exists raw.orders (id integer, customer_id integer, "
            "amount integer, ordered_at timestamptz, loaded_at timestamptz)"
        )
        for row in orders:
            connection.execute("insert into raw.orders values (?, ?, ?, ?, ?)", list(row))
