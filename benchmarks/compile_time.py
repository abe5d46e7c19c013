"""Compile 500 views x 20 features on one core, beside parsing and generating their SQL once.

    python benchmarks/compile_time.py [--views 500]

What `forebay compile` does beyond dbt's own parse: every view is compiled with its proof, its
variants are written and its types are asked of DuckDB. The rival is SQLGlot alone, which parses
the author's text, qualifies it and writes it again. Exits with 1 where a number is missed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import sqlglot
from sqlglot.optimizer.qualify import qualify

from feature_specs import FeatureView, Leaf, compile_view
from lakehouse.describe import TypeOracle

SECONDS, GIGABYTES = 30.0, 1.0
TZ = "TIMESTAMP WITH TIME ZONE"
LEAF = Leaf(
    "events",
    {"k": "VARCHAR", "ts": TZ, "loaded": TZ, "x": "INTEGER", "f": "DOUBLE", "d": "DECIMAL(12,2)"},
    event_time="ts",
    loaded_at="loaded",
)


def sql_of(number: int) -> str:
    """A view of 20 features: three windows, six aggregates each, and two of recency."""
    items = []
    for days in (1, 7, 30 + number % 7):
        test = f"filter (where ts > current_timestamp - interval '{days}' day)"
        items += [
            f"count(*) {test} as n{days}", f"sum(x) {test} as s{days}", f"avg(f) {test} as a{days}",
            f"max(x) {test} as m{days}", f"sum(d) {test} as d{days}", f"count(f) {test} as c{days}",
        ]  # fmt: skip
    items += ["max(ts) as last_ts", "epoch(current_timestamp - max(ts)) as since"]
    return (
        f"select k, {', '.join(items)} from events "
        f"where ts > current_timestamp - interval '{60 + number}' day group by k"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=500)
    options = parser.parse_args()
    texts = [sql_of(n) for n in range(options.views)]
    schema: dict[str, object] = {"events": dict(LEAF.columns)}
    started = time.process_time()
    for text in texts:
        tree = sqlglot.parse_one(text, dialect="duckdb")
        qualify(tree, schema=schema, dialect="duckdb").sql("duckdb", pretty=True)
    rival = time.process_time() - started
    spent = {"compile and prove": 0.0, "write variants": 0.0, "ask DuckDB for types": 0.0}
    oracle = TypeOracle()
    for number, text in enumerate(texts):
        marks = [time.process_time()]
        view = compile_view(FeatureView(f"view_{number}", text, ["k"]), [LEAF])
        marks.append(time.process_time())
        written = [view.point_in_time(), view.as_of(), view.stored_queries().create]
        marks.append(time.process_time())
        oracle.describe(view)
        marks.append(time.process_time())
        assert all(written)
        for name, before, after in zip(spent, marks, marks[1:], strict=False):
            spent[name] += after - before
    total = sum(spent.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{options.views} views x 20 features, processor seconds of one core")
    for name, seconds in spent.items():
        print(f"  {name:24}{seconds:8.1f}")
    print(f"  {'all':24}{total:8.1f}   at most {SECONDS * options.views / 500:g}")
    print(f"  {'SQLGlot alone, once':24}{rival:8.1f}")
    print(f"  {'memory, GB':24}{memory:8.2f}   at most {GIGABYTES:g}")
    return 0 if total <= SECONDS * options.views / 500 and memory <= GIGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
