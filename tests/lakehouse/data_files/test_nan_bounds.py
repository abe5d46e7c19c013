"""NaN is found in Parquet files whose bounds leave it out, as in a table of DuckDB's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.data_files.footers import shape_of
from lakehouse.data_files.nan_bounds import without_bounds
from lakehouse.lake import load_table
from tests.lakehouse.builds import Build
from tests.lakehouse.read_arrow import read_arrow

NAN = float("nan")
CONDITIONS = [
    "x > 5", "isnan(x)", "x = 'nan'::double", "abs(x) > 5", "f > 5", "isnan(f)",
    "s.a > 5", "isnan(s.a)", "s.b[1] > 5", "l[1] > 5", "isnan(l[1])",
    "list_contains(l, 'nan'::double)", "ll[1][1] > 5", "m['k'] > 5", "isnan(m['k'])",
    "x is null", "s is null", "l is null", "m is null",
]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nan") / "rows.parquet"
    values = [1.5, NAN, None]
    table = pa.table(
        {
            "x": pa.array(values, pa.float64()),
            "f": pa.array(values, pa.float32()),
            "s": pa.array([*({"a": v, "b": [v], "c": "t"} for v in values), None]).slice(0, 3),
            "l": pa.array([*([v] for v in values)]),
            "ll": pa.array([*([[v]] for v in values)]),
            "m": pa.array([*([("k", v)] for v in values)], pa.map_(pa.string(), pa.float64())),
            "n": pa.array([1, 2, None]),
        }
    )
    empty = pa.table({f.name: pa.nulls(1, f.type) for f in table.schema})
    pq.write_table(pa.concat_tables([table, empty]), path)
    return path


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_hold_as_in_a_table(file: Path, condition: str) -> None:
    connection = duckdb.connect()
    call = f"read_parquet('{file}')"
    connection.execute(f"create table held as select * from {call}")
    read = without_bounds(call, {c.name: c for c in shape_of(str(file))})
    for asked in (
        f"select count(*) from {{}} where {condition}",
        f"select count(*) filter (where {condition}) from {{}}",
        f"select list({condition}) from {{}}",
    ):
        found, expected = (
            connection.execute(asked.format(source)).fetchall() for source in (read, "held")
        )
        assert found == expected, asked


def test_values_and_types_are_the_same(file: Path) -> None:
    connection = duckdb.connect()
    call = f"read_parquet('{file}')"
    read = without_bounds(call, {c.name: c for c in shape_of(str(file))})
    plain, made = (connection.sql(f"select * from {source}") for source in (call, read))
    assert (plain.columns, plain.types) == (made.columns, made.types)
    assert repr(plain.fetchall()) == repr(made.fetchall())


def test_a_file_without_floats_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": [1], "t": ["a"], "l": [[1]]}), path)
    assert without_bounds("call()", {c.name: c for c in shape_of(str(path))}) == "call()"


@pytest.mark.parametrize("condition", ["amount > 5", "isnan(amount)", "amount = 'nan'::double"])
def test_a_view_counts_rows_of_nan(tmp_path: Path, condition: str) -> None:
    columns = {"k": "VARCHAR", "ts": "TIMESTAMP WITH TIME ZONE", "amount": "DOUBLE"}
    events = Leaf("events", columns, event_time="ts")
    sql = f"select k, count(*) as n from events where {condition} group by k"
    at = datetime(2024, 1, 1, tzinfo=UTC)
    build = Build(tmp_path, FeatureView(name="v", sql=sql, entities=("k",), file="v.sql"), [events])
    build.append(events, [("a", at, 1.5), ("a", at, NAN)])
    build.advance(at + timedelta(hours=1))
    (row,) = read_arrow(load_table(build.lake, build.entry.table)).to_pylist()
    assert (row["k"], row["n"]) == ("a", 1)
