"""A small project of one's own: one table of payments, two views over it, two services."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from forebay.__main__ import main
from lakehouse.commit import commit_rows
from lakehouse.lake import open_lake

PROFILES = """\
shop:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: target/shop.duckdb
      schema: main
      threads: 1
      settings: {TimeZone: UTC}
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
PROJECT = """\
name: shop
version: "1.0.0"
config-version: 2
profile: shop
model-paths: [models]
macro-paths: [macros, target/forebay/macros]
flags: {send_anonymous_usage_stats: false}
vars: {forebay_now: "2024-01-10 00:00:00+00:00"}
on-run-start: "{{ forebay_ready() }}"
"""
SOURCES = """\
sources:
  - name: raw
    schema: raw
    tables:
      - name: payments
        config: {event_time: paid_at}
"""
SPENDING = """\
select customer, count(*) as payments_60d, sum(amount) as spent_60d, max(amount) as most_60d
from {{ ref('stg_payments') }}
where paid_at > current_timestamp - interval '60' day
group by customer
"""
LAST = (
    "select customer, paid_at, amount, amount * 2 as twice from {{ source('raw', 'payments') }}\n"
)
VIEWS = """\
models:
  - name: spending
    config:
      materialized: feature_view
      meta: {feature_view: {entities: [customer]}}
  - name: last_payment
    config:
      materialized: feature_view
      event_time: paid_at
      meta: {feature_view: {entities: [customer], ttl: 7 days}}
exposures:
  - name: fraud
    type: ml
    owner: {name: Risk}
    depends_on: [ref('spending'), ref('last_payment')]
    config: {meta: {feature_service: {features: [spending.*, last_payment.amount]}}}
  - name: churn
    type: ml
    owner: {name: Growth}
    depends_on: [ref('spending')]
    config: {meta: {feature_service: {features: [spending.payments_60d]}}}
"""
FILES = {
    "profiles/profiles.yml": PROFILES,
    "dbt_project.yml": PROJECT,
    "models/sources.yml": SOURCES,
    "models/views.yml": VIEWS,
    "models/stg_payments.sql": "select * from {{ source('raw', 'payments') }}\n",
    "models/spending.sql": SPENDING,
    "models/last_payment.sql": LAST,
}
LAKE = {"name": "lake", "type": "sql"}


def make_project(root: Path, changed: Mapping[str, str] | None = None) -> Path:
    """Write the project, with other texts for some files, and load its payments."""
    write_files(root, changed)
    commit_rows(open_lake(lake_of(root)), "raw.payments", payments(), mode="append")
    return root


def run_here(*words: str, code: int = 0) -> None:
    """Run a command in the current folder, and require its exit code."""
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert stop.value.code == code, words


def write_files(root: Path, changed: Mapping[str, str] | None = None) -> None:
    """Write the project's files alone."""
    for name, text in {**FILES, **(changed or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    library = Path(__file__).parents[2] / "macros" / "forebay.sql"
    (root / "macros").mkdir(exist_ok=True)
    (root / "macros" / "forebay.sql").write_text(library.read_text())


def lake_of(root: Path) -> dict[str, str]:
    """What opens the project's lake, as its profile has it."""
    return {
        **LAKE,
        "uri": f"sqlite:///{root / 'lake/catalog.db'}",
        "warehouse": (root / "lake/warehouse").as_uri(),
    }


def payments(days: tuple[int, ...] = (1, 2, 3, 8)) -> pa.Table:
    """A payment of each customer, a and b, on some days of January 2024."""
    rows = [(c, datetime(2024, 1, d, tzinfo=UTC), 10 * d) for d in days for c in ("a", "b")]
    customers, times, amounts = zip(*rows, strict=True)
    return pa.table(
        {
            "customer": pa.array(customers, pa.string()),
            "paid_at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "amount": pa.array(amounts, pa.int64()),
        }
    )


def edit(root: Path, file: str, old: str, new: str) -> None:
    """Replace text that stands once in a file of the project."""
    path = root / file
    text = path.read_text()
    assert text.count(old) == 1, (file, old)
    path.write_text(text.replace(old, new))
