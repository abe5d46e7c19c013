"""`forebay verify` of many entities: by sample, beside all of them.

    python benchmarks/verify_sample.py [--entities 10000000] [--sample 10000] [--all]

A feature table of two features and that many entities, synced to LMDB, then compared. Seconds of
the wall clock, since that is what is promised: exits with 1 where a sample takes a minute or more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from serving.sync import sync
from serving.verify import verify
from tests.serving.project import Project, instant, make_view

MOST_S = 60.0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entities", type=int, default=10_000_000)
    options.add_argument("--sample", type=int, default=10_000)
    options.add_argument("--all", action="store_true", help="compare all of them too")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        view = make_view("delays")
        project.add(view)
        numbers = pa.array(range(given.entities), pa.int64())
        rows = pa.table(
            {
                "carrier": pc.binary_join_element_wise("c", numbers.cast(pa.string()), ""),
                "n": numbers,
                "delay": pc.divide(numbers.cast(pa.float64()), 7.0),
            }
        )
        project.build(view, rows, instant("07-01T08:00"))
        del rows, numbers
        sync(project.catalog)
        taken = {}
        for sample in (given.sample, None) if given.all else (given.sample,):
            start = time.perf_counter()
            (report,) = verify(project.catalog, sample=sample)
            taken[sample] = time.perf_counter() - start
            assert report.equal, report
            drawn = report.sampled if sample else report.offline_rows
            left = "" if sample is None else f", with 99% confidence {report.most_wrong:.4%} differ"
            print(f"{drawn:>12,} of {given.entities:,} compared  {taken[sample]:8.1f} s{left}")
    return 0 if taken[given.sample] < MOST_S else 1


if __name__ == "__main__":
    sys.exit(main())
