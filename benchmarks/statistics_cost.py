"""What the statistics of a build cost, beside the build itself and beside pandas' describe().

    python benchmarks/statistics_cost.py [--entities 1000000] [--events 5000000]

A project of one view of ten features over that many events of that many entities, built in full
in this process. CPU seconds of all threads: of the build without its statistics, of the statistics,
and of what one would write by hand, the table read into pandas, `describe()` and `value_counts()`
of each column. Exits with 1 where the statistics take more than a tenth of the build.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from forebay.commands import build as build_command
from forebay.dbt_project.project import Project, find_project
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.statistics import latest_statistics
from tests.forebay.small import FILES, SOURCES, lake_of

MOST_SHARE = 0.1
VIEW = """\
select customer, count(*) as n, sum(amount) as total, avg(amount) as mean, min(amount) as least,
    max(amount) as most, count(*) filter (where amount > 50) as n_large,
    max(kind) as kind, min(shop) as shop, max(paid_at) as last_paid, sum(amount * 2) as twice
from {{ source('raw', 'payments') }}
where paid_at > current_timestamp - interval '60' day
group by customer
"""
YAML = """\
models:
  - name: spending
    config: {materialized: feature_view, meta: {feature_view: {entities: [customer]}}}
"""


def make_project(root: Path, entities: int, events: int) -> Project:
    """Write the project, and load its events."""
    names = ("profiles/profiles.yml", "dbt_project.yml")
    texts = {name: FILES[name] for name in names}
    texts |= {"models/spending.sql": VIEW, "models/views.yml": YAML, "models/sources.yml": SOURCES}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    library = Path(__file__).parents[1] / "macros" / "forebay.sql"
    (root / "macros").mkdir()
    (root / "macros" / "forebay.sql").write_text(library.read_text())
    start = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    rows: pa.Table = (
        duckdb.connect()
        .execute(
            f"select hash(range) % {entities} as customer, make_timestamptz(cast(({start} + range % "
            "700000) * 1000000 as bigint)) as paid_at, (hash(range, 1) % 10000) / 100 as amount, "
            "'k' || hash(range, 2) % 40 as kind, 's' || hash(range, 3) % 3000 as shop "
            f"from range({events})"
        )
        .to_arrow_table()
    )
    rows = rows.set_column(0, "customer", rows["customer"].cast(pa.int64()))
    commit_rows(open_lake(lake_of(root)), "raw.payments", rows, mode="append")
    return find_project(root)


def by_hand(project: Project) -> int:
    """The same of the table in pandas; how many numbers were made."""
    table = load_table(open_lake(project.lake), project.catalog().view("spending").table)
    frame = table.scan().to_pandas()
    described = frame.describe(include="all")
    return int(described.size) + sum(len(frame[name].value_counts()) for name in frame)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entities", type=int, default=1_000_000)
    options.add_argument("--events", type=int, default=5_000_000)
    given = options.parse_args()
    spent: list[float] = []
    measure = build_command._measure

    def timed(project: Project) -> None:
        start = time.process_time()
        measure(project)
        spent.append(time.process_time() - start)

    build_command._measure = timed
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder), given.entities, given.events)
        start = time.process_time()
        build_command.build(project, quiet=True)
        whole = time.process_time() - start - spent[0]
        start = time.process_time()
        by_hand(project)
        hand = time.process_time() - start
        rows = latest_statistics(project.catalog())["spending", "n"].rows
    print(f"{rows:,} entities x 10 features, {given.events:,} events; CPU seconds")
    print(f"build without statistics  {whole:6.2f}")
    print(f"its statistics            {spent[0]:6.2f}  {spent[0] / whole:.1%} of it")
    print(f"describe() by hand        {hand:6.2f}  {hand / whole:.1%} of it")
    return 0 if spent[0] <= MOST_SHARE * whole else 1


if __name__ == "__main__":
    sys.exit(main())
