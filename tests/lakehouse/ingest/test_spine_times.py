"""A spine's instants that are finer than a microsecond round down, whatever writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.ingest.spine import read_spine

VALUES = [1, 999, 1000, 1001, -1, -999, -1000, -1001, 2**63 - 1, 1 - 2**63]


@pytest.mark.parametrize("int96", [False, True])
def test_instants_round_down_and_other_times_stay(int96: bool, tmp_path: Path) -> None:
    path = tmp_path / "spine.parquet"
    times = pa.array(VALUES, pa.timestamp("ns"))
    pq.write_table(
        pa.table({"event_timestamp": times, "other": times}),
        path,
        use_deprecated_int96_timestamps=int96,
    )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        spine = read_spine(connection, path, timestamp="event_timestamp", timezone="UTC", types={})
        rows = connection.sql(
            f"select event_timestamp, epoch_ns(other) as other from ({spine.sql})"
        ).fetchall()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [t for t, _ in rows] == [epoch + timedelta(microseconds=v // 1000) for v in VALUES]
    assert [n for _, n in rows][:8] == VALUES[:8]
