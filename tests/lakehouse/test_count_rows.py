"""How many rows a table has where another engine deleted some by their positions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.count_rows import count_dead_rows


def test_a_row_that_two_files_delete_is_dead_once_and_files_that_are_gone_count_nothing(
    tmp_path: Path,
) -> None:
    named = {"one": [("a", 1), ("a", 3), ("gone", 1)], "two": [("a", 3), ("b", 0)]}
    paths = []
    for name, rows in named.items():
        path = str(tmp_path / f"{name}.parquet")
        files, positions = zip(*rows, strict=True)
        pq.write_table(pa.table({"file_path": files, "pos": positions}), path)
        paths.append(path)
    assert count_dead_rows(paths, {"a", "b"}) == len({("a", 1), ("a", 3), ("b", 0)})
    assert count_dead_rows([], {"a"}) == 0
