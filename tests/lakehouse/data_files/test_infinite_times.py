"""Infinite times are committed, read and stepped over like others, whichever way they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.row_stream import RowStream
from lakehouse.scan import pin
from tests.lakehouse.builds import Build

TIMES = (
    "timestamptz 'infinity' as a, timestamptz '-infinity' as b, timestamp 'infinity' as c, "
    "date 'infinity' as d, date '-infinity' as e, [timestamp 'infinity'] as f, "
    "{'x': date 'infinity'} as g, map {date 'infinity': timestamptz 'infinity'} as h, "
    "timestamptz '2024-01-01 00:00+00' as i, 7 as n"
)
EVENTS = Leaf("events", {"k": "VARCHAR", "ts": "TIMESTAMP WITH TIME ZONE"}, event_time="ts")
AT = datetime(2024, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("stream", [False, True], ids=["table", "stream"])
def test_they_are_committed(tmp_path: Path, stream: bool) -> None:
    lake = open_lake(
        {"name": "lake", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"{tmp_path}/wh"}
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        made = connection.sql(f"select {TIMES}").to_arrow_table()
        rows = RowStream(made.schema, lambda: iter(made.to_batches())) if stream else made
        commit_rows(lake, "raw.plain", pa.table({"n": [1]}), mode="append")
        expected = connection.execute(f"select {TIMES}").fetchall()
        for mode, count in (("append", 1), ("append", 2), ("replace", 1)):
            commit_rows(lake, "raw.t", rows, mode=mode)  # type: ignore[arg-type]
            held = pin(load_table(lake, "raw.t")).sql
            columns = ", ".join(made.column_names)
            assert (
                connection.execute(f"select {columns} from ({held})").fetchall() == expected * count
            )
    kept = load_table(lake, "raw.t").properties
    assert kept["write.metadata.metrics.column.h.value"] == "counts"
    assert not any("metrics" in p for p in load_table(lake, "raw.plain").properties)


def test_a_feature_may_be_infinite(tmp_path: Path) -> None:
    view = FeatureView(
        name="v",
        sql="select k, count(*) as n, case when count(*) > 1 then timestamptz 'infinity' "
        "else max(ts) end as till, date '-infinity' as since from events group by k",
        entities=("k",),
        file="v.sql",
    )
    build = Build(tmp_path, view, [EVENTS])
    for day, key in enumerate(("a", "a", "b", "b")):
        at = AT + timedelta(days=day)
        build.append(EVENTS, [(key, at)])
        build.advance(at)
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            table = pin(load_table(build.lake, build.entry.table)).sql
            found = connection.sql(f"select k, n, till::varchar, since::varchar from ({table})")
            held = {k: (n, till, since) for k, n, till, since in found.fetchall()}
        first = "2024-01-10 00:00:00+00" if day == 0 else "infinity"
        assert held["a"] == (min(day + 1, 2), first, "-infinity")
        if day > 1:
            last = "2024-01-12 00:00:00+00" if day == 2 else "infinity"
            assert held["b"] == (day - 1, last, "-infinity")
