"""`forebay serve` of a catalog, pinned to a core; says its address as the command does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from feature_specs.catalog import load_catalog
from serving.server import serve


def main() -> None:
    catalog, cpus, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    os.sched_setaffinity(0, set(map(int, cpus.split(","))))
    serve(load_catalog(catalog), "127.0.0.1", 0, workers)


if __name__ == "__main__":
    main()
