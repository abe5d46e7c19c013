"""What came to a table between two snapshots, with compactions, expiries and changes in between."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table.snapshots import Operation

from lakehouse.data_files.select_rows import select_rows
from lakehouse.lake import load_table
from lakehouse.scan import added_files, pin
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.maintain.lakes import TABLE, add
from tests.lakehouse.maintain.lakes import replace as overwrite
from tests.lakehouse.others_write.lakes import OtherEngine
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow


def compact(lake: Catalog, *, some: bool = False) -> None:
    """Write the table's rows, or those of its older half of files, into one file, as Trino does."""
    engine = OtherEngine(load_table(lake, TABLE))
    files = [e.data_file for e in pin(engine.table).files]
    taken = files[: max(1, len(files) // 2)] if some else files
    select = select_rows(engine.table, [e for e in pin(engine.table).files if e.data_file in taken])
    rows = (
        duckdb.connect().sql(select).to_arrow_table().cast(schema_to_pyarrow(engine.table.schema()))
    )
    engine.commit(engine.write(rows), removed=taken, operation=Operation.REPLACE)


def came(lake: Catalog, since: int | None) -> list[int] | None:
    table = load_table(lake, TABLE)
    files = added_files(table, since, table.metadata.current_snapshot_id)
    if files is None:
        return None
    return [int(n) for (n,) in duckdb.execute(select_rows(table, files)).fetchall()]


@pytest.mark.parametrize("seed", range(4))
def test_drawn_appends_and_compactions_give_exactly_what_came(seed: int, tmp_path: Path) -> None:
    """Brute force: the bag of all rows now, less the bag of all rows then."""
    lake, rng = local_lake(tmp_path), random.Random(seed)
    stood: dict[int | None, Counter[int]] = {None: Counter()}
    for _ in range(14):
        if len(stood) > 1 and rng.random() < 0.4:
            compact(lake, some=rng.random() < 0.5)
        else:
            add(lake, [rng.randrange(50) for _ in range(rng.randrange(1, 4))])
        table = load_table(lake, TABLE)
        rows = Counter(read_arrow(table)["n"].to_pylist())
        stood[table.metadata.current_snapshot_id] = rows
        for since, then in stood.items():
            found = came(lake, since)
            assert found is not None and Counter(found) == rows - then


def test_from_an_empty_table_on_all_is_given_or_nothing_is_known(tmp_path: Path) -> None:
    """pyiceberg cuts the line where a snapshot has expired: that is not the table's beginning."""
    lake = local_lake(tmp_path)
    made = [add(lake, [n]) for n in range(4)]
    assert sorted(came(lake, None) or []) == [0, 1, 2, 3]
    load_table(lake, TABLE).maintenance.expire_snapshots().by_id(made[1]).commit()
    assert came(lake, None) is None and came(lake, made[0]) is None
    assert came(lake, made[2]) == [3]
    compact(lake)
    assert came(lake, made[2]) == [3] and came(lake, None) is None


def test_a_compaction_hides_no_change_of_rows(tmp_path: Path) -> None:
    lake = local_lake(tmp_path)
    first = add(lake, [1, 2])
    overwrite(lake, [2, 3])
    second = load_table(lake, TABLE).metadata.current_snapshot_id
    compact(lake)
    add(lake, [4])
    assert came(lake, first) is None and came(lake, second) == [4]
    load_table(lake, TABLE).maintenance.expire_snapshots().by_id(second or 0).commit()
    assert came(lake, None) is None
