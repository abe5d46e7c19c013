"""Rows: every value reads back exactly, and its fragment is JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_specs.errors import ForebayError
from feature_specs.sql_types import INTEGER_RANGE, SqlType, parse_type
from serving.columns import event_time_headers
from serving.rows import from_json, header_text, header_us, split_row
from tests.serving.stored_rows import encode_row, encode_value

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
#: From the year 1 to the end of the year 9999, in microseconds since 1970.
EVENT_TIMES = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
TEXTS = st.text(st.characters(codec="utf-8"))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{name: st.integers(*bounds) for name, bounds in INTEGER_RANGE.items()},
    "BOOLEAN": st.booleans(),
    "FLOAT": st.floats(width=32),
    "DOUBLE": st.floats(),
    "DECIMAL(38,10)": st.decimals(
        min_value=-(10**27), max_value=10**27, places=10, allow_nan=False
    ),
    "VARCHAR": TEXTS,
    "BLOB": st.binary(),
    "UUID": st.uuids(),
    "DATE": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "TIME": st.times(),
    "TIMESTAMP": MOMENTS,
    "TIMESTAMP WITH TIME ZONE": MOMENTS.map(lambda t: t.replace(tzinfo=UTC)),
    "BIGINT[]": st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
    'STRUCT("a b" DOUBLE, c VARCHAR[])': st.fixed_dictionaries(
        {"a b": st.none() | st.floats(allow_nan=False), "c": st.none() | st.lists(TEXTS)}
    ),
    "MAP(INTEGER, VARCHAR)": st.lists(st.tuples(st.integers(-9, 9), st.none() | TEXTS)),
}


@pytest.mark.parametrize("type_name", VALUES)
@given(data=st.data())
def test_values_read_back(type_name: str, data: st.DataObject) -> None:
    declared = parse_type(type_name)
    value = data.draw(st.none() | VALUES[type_name])
    fragment = encode_value(declared, value).encode()
    json.loads(fragment, parse_constant=pytest.fail)
    assert b"\0" not in fragment
    back = from_json(declared)(json.loads(fragment))
    assert type(back) is type(value)
    if isinstance(value, float):
        same_zero = math.copysign(1, value) == math.copysign(1, back)
        assert (back == value and same_zero) or (math.isnan(back) and math.isnan(value))
    else:
        assert back == value


@given(
    st.none() | EVENT_TIMES,
    st.lists(TEXTS.map(lambda text: encode_value(SqlType("VARCHAR"), text))),
)
def test_rows_split_as_they_were_joined(event_time: int | None, fragments: list[str]) -> None:
    found, split = split_row(encode_row(event_time, fragments))
    assert found == event_time
    assert [fragment.decode() for fragment in split] == fragments


@given(EVENT_TIMES, EVENT_TIMES, st.booleans(), st.booleans())
def test_rows_compare_as_their_event_times(one: int, two: int, near: bool, whole: bool) -> None:
    two = min(one + abs(two) % 3, 253_402_300_799_999_999) if near else two
    one = one - one % 1_000_000 if whole else one
    row, header = encode_row(one, ["null"]), header_text(two).encode()
    assert (row < header) == (one < two)
    assert (row[: row.index(b"\0")] < header) == (one < two)


@given(st.lists(EVENT_TIMES))
def test_headers_of_a_column_are_those_of_its_values(times: list[int]) -> None:
    found = event_time_headers(pa.array(times, pa.int64()))
    assert found == [header_text(us) for us in times]
    assert [header_us(header.encode()) for header in found] == times


def test_event_times_out_of_range() -> None:
    for us in (-62_135_596_800_000_001, 253_402_300_800_000_000):
        with pytest.raises(OverflowError):
            encode_row(us, ["1"])
        with pytest.raises(OverflowError):
            event_time_headers(pa.array([0, us], pa.int64()))


def test_fragments_as_documented() -> None:
    def shown(type_name: str, value: Any) -> str:
        return encode_value(parse_type(type_name), value)

    noon = datetime(2013, 7, 1, 12, tzinfo=UTC)
    assert shown("TIMESTAMPTZ", noon) == '"2013-07-01T12:00:00.000000Z"'
    assert shown("DOUBLE", math.nan) == '"NaN"'
    assert shown("DOUBLE", -math.inf) == '"-Infinity"'
    assert shown("DOUBLE", 0.1) == "0.1"
    assert shown("HUGEINT", 2**100) == str(2**100)
    assert shown("VARCHAR", 'a"\0') == '"a\\"\\u0000"'
    assert shown("TIME", time(1, 2, 3)) == '"01:02:03.000000"'
    assert shown("BLOB", b"\xff") == '"/w=="'


@pytest.mark.parametrize(
    "written",
    [
        "DECIMAL(18,3)",
        "BIGINT[]",
        "STRUCT(a INTEGER, b DECIMAL(5,2)[])",
        "MAP(VARCHAR, STRUCT(x DOUBLE))",
        "TIMESTAMP WITH TIME ZONE",
    ],
)
def test_types_are_parsed(written: str) -> None:
    assert str(parse_type(written)) == written


@pytest.mark.parametrize(
    ("alias", "name"), [("timestamptz", "TIMESTAMP WITH TIME ZONE"), ("int8", "BIGINT")]
)
def test_aliases(alias: str, name: str) -> None:
    assert parse_type(alias) == parse_type(name)


def test_unknown_types_are_refused() -> None:
    with pytest.raises(ForebayError, match="UNION"):
        parse_type("UNION(a INTEGER)")
