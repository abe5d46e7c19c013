"""10,000 touched keys of a view that takes no deltas, beside F(T1) in full.

    python benchmarks/touched_keys.py [--rows 100000000] [--keys 100000] [--runs 5]

The events of `incremental_step`, and a view of the greatest amount and the distinct amounts of 7 days, which a
step has to recompute for every entity that an event of the last minute, or of the minute 7 days ago,
touched. Says where a step's time goes, too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.incremental_step import MINUTE, World, timed
from feature_specs import FeatureView
from lakehouse.feature_tables.materialize import Advance
from lakehouse.scan import define_relation

LEAST_GAIN = 20.0
SQL = (
    "select k, max(amount) as hi, count(distinct amount) as kinds from events "
    "where ts > current_timestamp - interval '7' day group by k"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = options.folder or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        world = World(folder, FeatureView("spending", SQL, ["k"]), options.keys)
        world.load_history(options.rows)
        world.in_full()
        steps, touched = [], 0
        for number in range(options.runs + 1):
            world.add_events(options.events)
            world.at += MINUTE
            done: list[Advance] = []

            def bring() -> None:
                define_relation(world.connection, "events", world.pinned())
                done.append(world.step())  # noqa: B023

            taken = timed(bring)
            assert done[0].how == "step", done[0].why
            touched = done[0].touched
            steps += [taken] if number else []
        world.query()
        wrong = world.differing()
        full = statistics.median(timed(world.in_full) for _ in range(3))
    step = statistics.median(steps)
    print(
        f"{options.rows:,} rows   touched {touched:,} of {options.keys:,}   step {step:.2f} s "
        f"({min(steps):.2f} to {max(steps):.2f})   in full {full:.2f} s   rows that differ {wrong}"
    )
    print(f"in full to a step: {full / step:.1f} (aim: {LEAST_GAIN:.0f})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
