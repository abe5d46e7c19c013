"""``python -m tests.lineage N``: hold the column lineage of N drawn views to its oracle, and count edges."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from tests.lineage.moved import Found, explain_spurious, hold_to_oracle
from tests.prove.engines import Engines
from tests.prove.run import case_name
from tests.prove.views import draw_case


def main() -> int:
    """Returns 1 where a feature moved without an edge, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.lineage", description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=200, help="how many views")
    parser.add_argument("--seed", type=int, default=7, help="another seed draws other views")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    asked = parser.parse_args()
    names = [case_name(asked.seed, n) for n in range(asked.n)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, mp_context=context) as pool:
        return _report(pool.map(_one, names))


def _one(name: str) -> Found:
    engines = Engines()
    try:
        return hold_to_oracle(draw_case(name), engines)
    finally:
        engines.close()


def _report(results: Iterable[Found]) -> int:
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for found in results:
        counts["views refused" if found.refused else "views"] += 1
        counts["edges"] += len(found.edges)
        counts["edges that a change moved"] += sum(found.edges.values())
        counts["missing edges"] += len(set(found.missing))
        reasons.update(explain_spurious(found))
        for edge in sorted(set(found.missing)):
            print(f"MISSING {found.name}: {edge}")
    for name, number in counts.items():
        print(f"{number:8,} {name}")
    print("edges that no change moved, by what is behind them:")
    for reason, number in reasons.most_common():
        print(f"{number:8,} {reason}")
    return 1 if counts["missing edges"] else 0


if __name__ == "__main__":
    sys.exit(main())
