"""Encoding in Python, by which `verify` judges what DuckDB encoded: tests/serving/sync holds them equal."""

from __future__ import annotations

import pyarrow as pa
import pytest

from feature_specs.catalog import Column
from feature_specs.errors import DataError
from feature_specs.sql_types import parse_type
from serving.columns import RowEncoder, column_fragments
from tests.serving.project import TZ, UTC_US, make_view


def test_a_value_that_no_python_holds_is_named() -> None:
    made = make_view("far", stored=(Column("day", "DATE"),))
    days = pa.array([10_000_000], pa.int32()).cast(pa.date32())
    with pytest.raises(DataError, match="a value of 'day' cannot be stored online") as refused:
        list(RowEncoder(made).encode(pa.table({"carrier": ["AA"], "day": days})))
    assert refused.value.where == "far"


def test_a_timestamp_after_the_last_of_python_is_refused() -> None:
    far = pa.array([253_402_300_800_000_000], pa.int64()).cast(UTC_US)
    with pytest.raises(DataError, match="after the year 9999"):
        column_fragments(parse_type(TZ), far)
