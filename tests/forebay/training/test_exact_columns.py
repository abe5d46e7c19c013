"""No value changes on its way into the Parquet file of a training set."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from feature_specs.errors import DataError
from forebay.training.copy_to_parquet import copy_to_parquet

BIG = 2**62 + 1


@pytest.mark.parametrize(
    ("sql", "kind", "value"),
    [
        (f"{BIG}::hugeint", "DECIMAL(38,0)", str(BIG)),
        (f"sum(x) as v from unnest([{BIG}, {BIG}]) as t(x)", "DECIMAL(38,0)", str(2 * BIG)),
        (f"{BIG}::uhugeint", "DECIMAL(38,0)", str(BIG)),
        (f"[{BIG}::hugeint]", "DECIMAL(38,0)[]", f"[{BIG}]"),
        (f"{{'a': {BIG}::hugeint}}", "STRUCT(a DECIMAL(38,0))", f"{{'a': {BIG}}}"),
        (f"map {{'k': {BIG}::hugeint}}", "MAP(VARCHAR, DECIMAL(38,0))", f"{{k={BIG}}}"),
        (f"{{'HUGEINT': {BIG}::bigint}}", "STRUCT(HUGEINT BIGINT)", f"{{'HUGEINT': {BIG}}}"),
        ("'INTERVAL'::enum('INTERVAL', 'BIT')", "VARCHAR", "INTERVAL"),
        ("interval '2 days 1 microsecond'", "VARCHAR", "2 days 00:00:00.000001"),
        ("'01:02:03.5+02'::timetz", "VARCHAR", "01:02:03.5+02"),
        ("'101'::bit", "VARCHAR", "101"),
        ("'infinity'::timestamptz", "TIMESTAMP WITH TIME ZONE", "infinity"),
        ("'nan'::double", "DOUBLE", "nan"),
    ],
)
def test_a_value_is_what_it_was(sql: str, kind: str, value: str, tmp_path: Path) -> None:
    out = tmp_path / "set.parquet"
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        copy_to_parquet(
            connection, f"select {sql}" if " from " in sql else f"select {sql} as v", out
        )
        read = f"select columns(*)::varchar as v, typeof(columns(*)) from read_parquet('{out}')"
        ((text, written),) = connection.execute(read).fetchall()
    assert (written, text) == (kind, value)


def test_an_integer_of_39_digits_is_refused(tmp_path: Path) -> None:
    with duckdb.connect() as connection, pytest.raises(DataError, match=r"DECIMAL\(38,0\)"):
        copy_to_parquet(
            connection,
            "select 170141183460469231731687303715884105727::hugeint as v",
            tmp_path / "s.parquet",
        )
