"""What is logged reads back, in SQL and in Python, as what was answered: of every type."""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from feature_specs.catalog import Column, Feature
from feature_specs.sql_types import INTEGER_RANGE, parse_type
from feature_specs.time_zones import SESSION_AT_UTC
from serving.rows import _ENCODERS
from serving.served.logged_values import (
    fragment_sql,
    has_sql,
    names_of,
    read_request,
    read_value,
    request_sql,
    value_sql,
)
from tests.serving.project import make_view
from tests.serving.stored_rows import encode_value

MOMENT = datetime(2013, 7, 1, 6, 0, 0, 1)
VALUES: dict[str, list[Any]] = {
    **{name: [low, 0, high] for name, (low, high) in INTEGER_RANGE.items()},
    "BOOLEAN": [True, False],
    "FLOAT": [0.5, -0.0, float("inf"), float("nan")],
    "DOUBLE": [0.1, 5e-324, 1.7976931348623157e308, float("-inf"), float("nan")],
    "DECIMAL(38,10)": [Decimal("-1234567890123456789012345678.0000000001"), Decimal("0E-10")],
    "VARCHAR": ["", "null", '"null"', "[1]", 'a\0b"\\\n\u2028é', "NaN"],
    "BLOB": [b"", b"\x00\xd8\xff'\"", b"AAAA"],
    "UUID": [uuid.UUID("c0ffee00-0000-4000-8000-00000000beef")],
    "DATE": [date(1, 1, 1), date(9999, 12, 31)],
    "TIME": [time(0), time(23, 59, 59, 999_999)],
    "TIMESTAMP": [MOMENT, datetime(1, 1, 2)],
    "TIMESTAMP WITH TIME ZONE": [MOMENT.replace(tzinfo=UTC)],
    "BIGINT[]": [[], [None], [1, None, 2**62]],
    "BLOB[]": [[b"\x00\xff", None, b""]],
    "VARCHAR[][]": [[["a,b", "null", None], None, []]],
    "FLOAT[2]": [(0.5, -1.5)],
    "ENUM('a', 'b')": ["b"],
    'STRUCT("a ""/~b" BLOB, l DECIMAL(4,2)[], s STRUCT(t TIME))': [
        {'a "/~b': b"\xff", "l": [Decimal("1.50"), None], "s": {"t": time(7)}},
        {'a "/~b': None, "l": None, "s": None},
    ],
    "STRUCT(k DATE, v UUID)[]": [[None, {"k": date(2013, 7, 1), "v": None}]],
    "MAP(VARCHAR, BLOB)": [{}, {"a/b": b"\x01", "": None}],
    "MAP(DATE, MAP(INTEGER, BIGINT[]))": [{date(2013, 7, 1): {1: [2, None]}}],
}


def same(found: Any, value: Any) -> bool:
    if isinstance(value, float):
        return (math.isnan(value) and math.isnan(found)) or (
            found == value and math.copysign(1, found) == math.copysign(1, value)
        )
    return bool(found == value) and type(found) is type(value)


def test_values_of_every_type() -> None:
    """A type that a later version answers has to have values here."""
    assert {parse_type(name).name for name in VALUES} >= set(_ENCODERS) | {"LIST", "STRUCT", "MAP"}


@pytest.mark.parametrize("declared", VALUES)
def test_a_value_reads_back(declared: str) -> None:
    values = [None, *VALUES[declared]]
    known = parse_type(declared)
    fragments = [encode_value(known, value) for value in values]
    with duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)
        connection.execute("create table logged (n integer, fragment varchar)")
        connection.executemany("insert into logged values (?, ?)", list(enumerate(fragments)))
        made = connection.sql(
            f"select {value_sql('fragment', declared)} as v from logged order by n"
        )
        assert str(made.types[0]) == str(
            connection.sql(f"select cast(null as {declared})").types[0]
        )
        found = [value for (value,) in made.fetchall()]
    assert all(map(same, found, values)), found
    plain = [read_value(fragment, declared) for fragment in fragments]
    again = [encode_value(known, value) for value in plain]
    assert again == fragments
    if not known.items:
        assert all(map(same, plain, values)), plain


def test_request_values() -> None:
    sent = {'r"/ate': 0.1, "flag": True, "at": "2013-07-01T06:00:00Z", "gone": None, "Text": "null"}
    kinds = {
        'r"/ate': "FLOAT", "flag": "BOOLEAN", "at": "TIMESTAMP WITH TIME ZONE", "gone": "BIGINT",
        "Text": "VARCHAR", "never sent": "DATE",
    }  # fmt: skip
    columns = ", ".join(request_sql("$sent", Column(name, kind)) for name, kind in kinds.items())
    with duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)
        (found,) = connection.execute(f"select {columns}", {"sent": json.dumps(sent)}).fetchall()
    moment = datetime(2013, 7, 1, 6, tzinfo=UTC)
    assert found == (pytest.approx(0.1, rel=1e-7), True, moment, None, "null", None)
    assert read_request(json.dumps(sent)) == {
        'r"/ate': "0.1", "flag": "true", "at": "2013-07-01T06:00:00Z", "gone": None, "text": "null",
    }  # fmt: skip
    assert read_request(None) == {}


def test_a_feature_is_found_by_whichever_of_its_names() -> None:
    view = make_view("delays", aliases=(Feature("count", "BIGINT", alias_of="n"),))
    names = names_of(view, "COUNT")
    assert names == names_of(view, "n") == ["n", "count"] and names_of(view, "delay") == ["delay"]
    rows = "(values (['delay', 'count'], ['1', '2']), (['n'], ['3']), (['delay'], ['4']))"
    with duckdb.connect() as connection:
        found = connection.execute(
            f'select {has_sql(names)}, {fragment_sql(names)} from {rows} as t(features, "values")'
        ).fetchall()
    assert found == [(True, "2"), (True, "3"), (False, None)]
