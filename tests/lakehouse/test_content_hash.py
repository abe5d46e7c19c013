"""The hash of a table's values: of them alone, and of all of them."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.content_hash import hash_batches, hash_file

NAN = float("nan")
ROWS = pa.table(
    {
        "number": pa.array([1, None, 3], pa.int64()),
        "text": pa.array(["x", None, ""]),
        "flag": [True, None, False],
        "list": [[1, None], None, []],
        "exact": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.00")]),
        "float": [1.0, NAN, None],
        "at": pa.array([datetime(2020, 1, 1, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
        "item": [{"a": 1}, None, {"a": None}],
    }
)


def hash_of(rows: pa.Table, size: int | None = None) -> str:
    return hash_batches(rows.schema, rows.to_batches(size))


def test_how_values_are_stored_changes_nothing(tmp_path: Path) -> None:
    other = ROWS.set_column(1, "text", ROWS["text"].cast(pa.large_string()))
    packed = ROWS.set_column(1, "text", ROWS["text"].dictionary_encode())
    late = pa.concat_tables([ROWS, ROWS]).slice(3)
    assert (
        len({hash_of(ROWS), hash_of(ROWS, 1), hash_of(other), hash_of(packed), hash_of(late)}) == 1
    )
    for name, size in (("a", 1), ("b", 3)):
        pq.write_table(ROWS, tmp_path / name, row_group_size=size)
    assert hash_file(tmp_path / "a") == hash_file(tmp_path / "b") == hash_of(ROWS)


@pytest.mark.parametrize("column", range(ROWS.num_columns))
def test_every_value_counts(column: int) -> None:
    values, name = ROWS[column].to_pylist(), ROWS.column_names[column]
    seen = {hash_of(ROWS)}
    for place in range(3):
        changed = list(values)
        changed[place] = values[0] if values[place] is None else None
        seen.add(hash_of(ROWS.set_column(column, name, pa.array(changed, ROWS[column].type))))
    assert len(seen) == 4


def test_order_names_types_and_where_a_text_ends_count() -> None:
    assert hash_of(ROWS.take([2, 1, 0])) != hash_of(ROWS)
    assert hash_of(ROWS.rename_columns([*"abcdefgh"])) != hash_of(ROWS)
    one, two = pa.table({"t": ["ab", "c"]}), pa.table({"t": ["a", "bc"]})
    assert hash_of(one) != hash_of(two)
    assert hash_of(pa.table({"t": [0.0]})) != hash_of(pa.table({"t": [-0.0]}))
    assert hash_of(pa.table({"t": pa.array([1], pa.int32())})) != hash_of(pa.table({"t": [1]}))
    empty = pa.table({"t": pa.array([], pa.string())})
    assert (
        hash_of(empty) == hash_of(empty) != hash_of(pa.table({"t": pa.array([None], pa.string())}))
    )
