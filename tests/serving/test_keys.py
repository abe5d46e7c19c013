"""Keys: one to one, and only from values of the declared types."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_specs.catalog import Column
from feature_specs.errors import DataError, ForebayError
from serving.keys import coercer, decode_key, encode_key, key_texts, shorten

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.text("\0\1\2a", max_size=6)
keys = st.lists(texts, min_size=1, max_size=4).map(tuple)


@given(keys)
def test_a_key_reads_back(key: tuple[str, ...]) -> None:
    assert decode_key(encode_key(key)) == key


@given(keys, keys)
def test_different_keys_differ(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    assert (encode_key(a) == encode_key(b)) == (a == b)


@given(st.binary(max_size=40))
def test_only_long_keys_become_digests(key: bytes) -> None:
    short = shorten(key, 20)
    assert (short is None) == (len(key) <= 20)
    assert short is None or len(short) == 32


@pytest.mark.parametrize(
    ("type_name", "sent", "value", "text"),
    [
        ("BIGINT", 5, 5, "5"),
        ("BIGINT", -(2**63), -(2**63), str(-(2**63))),
        ("HUGEINT", str(2**100), 2**100, str(2**100)),
        ("VARCHAR", "Zürich\0", "Zürich\0", "Zürich\0"),
        ("BOOLEAN", True, True, "true"),
        ("DATE", "2013-07-01", date(2013, 7, 1), "2013-07-01"),
        (
            "TIMESTAMP WITH TIME ZONE",
            "2013-07-01T02:00:00.000001+02:00",
            datetime(2013, 7, 1, 0, 0, 0, 1, tzinfo=UTC),
            "1372636800000001",
        ),
        ("TIMESTAMP", "2013-07-01T00:00:00", datetime(2013, 7, 1), "1372636800000000"),
        ("DECIMAL(10,2)", 1.5, Decimal("1.50"), "1.50"),
        ("DECIMAL(10,2)", "-0", Decimal("0.00"), "0.00"),
        ("DECIMAL(4,4)", "-.5", Decimal("-0.5000"), "-0.5000"),
        ("DECIMAL(18,3)", 999999999999.999, Decimal("999999999999.999"), "999999999999.999"),
        ("DECIMAL(18,3)", 123456789012345, Decimal("123456789012345.000"), "123456789012345.000"),
        ("TIMESTAMP", "2013-07-01 00:00:00.0000010000", datetime(2013, 7, 1, 0, 0, 0, 1), None),
        ("DECIMAL(38,0)", "9" * 38, Decimal("9" * 38), "9" * 38),
        (
            "UUID",
            "{12345678-1234-5678-1234-567812345678}",
            uuid.UUID("12345678123456781234567812345678"),
            "12345678-1234-5678-1234-567812345678",
        ),
    ],
)
def test_json_becomes_the_declared_type(
    type_name: str, sent: Any, value: Any, text: str | None
) -> None:
    column = Column("k", type_name)
    made = coercer(column)(sent)
    assert made == value
    assert type(made) is type(value)
    assert text is None or key_texts([column])[0](made) == text


@pytest.mark.parametrize(
    ("type_name", "sent"),
    [
        ("BIGINT", "5"),
        ("BIGINT", True),
        ("BIGINT", 5.0),
        ("BIGINT", 2**63),
        ("BIGINT", [5]),
        ("TINYINT", 128),
        ("HUGEINT", 1e30),
        ("VARCHAR", 5),
        ("VARCHAR", {"a": 1}),
        ("BOOLEAN", 1),
        ("DATE", "2013-02-30"),
        ("DATE", "20130701"),
        ("TIMESTAMP WITH TIME ZONE", "2013-07-01T00:00:00"),
        ("TIMESTAMP WITH TIME ZONE", 1372636800),
        ("TIMESTAMP WITH TIME ZONE", "noon"),
        ("TIMESTAMP WITH TIME ZONE", "0001-01-01T00:00:00+10:00"),
        ("TIMESTAMP", "2013-07-01T00:00:00Z"),
        ("DECIMAL(5,2)", 1.005),
        ("DECIMAL(5,2)", 1000),
        ("DECIMAL(5,2)", "1e999999"),
        ("DECIMAL(5,2)", "1" * 5000),
        ("DECIMAL(5,2)", "NaN"),
        ("DECIMAL(5,2)", True),
        ("DECIMAL(5,2)", " 1"),
        ("DECIMAL(5,2)", "1_0"),
        # Doubles that several numbers of the type are read as.
        ("DECIMAL(18,3)", 123456789012345.001),
        ("DECIMAL(38,0)", 123456789012345678901234567890.0),
        ("DECIMAL(38,20)", 1.0),
        # Python would cut the last digits off, and answer for another instant.
        ("TIMESTAMP", "2013-07-01T00:00:00.0000019"),
        ("TIMESTAMP WITH TIME ZONE", "2013-07-01T00:00:00.9999999Z"),
        ("TIMESTAMP WITH TIME ZONE", "2013-07-01T00:00:00.5+00:00:00.499999"),
        ("TIMESTAMP WITH TIME ZONE", "2013-W27-1T00:00:00Z"),
        ("UUID", "x"),
    ],
)
def test_another_type_is_refused_by_name(type_name: str, sent: Any) -> None:
    with pytest.raises(DataError) as caught:
        coercer(Column("tail_number", type_name))(sent)
    assert "tail_number" in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("type_name", ["DOUBLE", "FLOAT", "BLOB", "INTEGER[]", "INTERVAL"])
def test_inexact_and_nested_types_are_no_keys(type_name: str) -> None:
    with pytest.raises(ForebayError, match="cannot be a key"):
        coercer(Column("k", type_name))(1)


@given(
    st.sampled_from([(5, 2), (15, 0), (18, 3), (38, 10), (4, 4)]),
    st.integers(-(10**38) + 1, 10**38 - 1),
)
def test_a_json_number_is_never_another_decimal(kind: tuple[int, int], unscaled: int) -> None:
    """It is read as a double, which may be that of several decimals."""
    width, scale = kind
    number = Decimal(unscaled % 10**width).scaleb(-scale)
    column = Column("k", f"DECIMAL({width},{scale})")
    try:
        made = coercer(column)(float(str(number)))
    except DataError:
        assert unscaled % 10**width >= 10**15 - 1
    else:
        assert made == number


def test_null_is_no_entity() -> None:
    assert coercer(Column("k", "BIGINT"))(None) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-999, max_value=999))
def test_equal_decimals_are_one_key(number: Decimal) -> None:
    column = Column("k", "DECIMAL(5,2)")
    text, coerce = key_texts([column])[0], coercer(column)
    assert text(coerce(str(number))) == text(coerce(f"{number}0"))
