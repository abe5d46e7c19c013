"""A whole number is exact in a double, written with a point or without."""

from __future__ import annotations

import duckdb
import pytest

from lakehouse.ingest.infer_types import _is
from lakehouse.ingest.read_json import read_json
from lakehouse.ingest.read_text import read_text


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("9007199254740992.0", True),
        ("9007199254740993.0", False),
        ("9007199254740993.", False),
        ("-9007199254740993.000", False),
        ("9007199254740994.0", True),
        ("1.0", True),
        ("0.1", True),
        ("9007199254740993.5", True),
        ("12345678901234567890.5", True),
    ],
)
def test_a_whole_number_with_a_point(text: str, held: bool) -> None:
    sql, test = read_text(f"'{text}'", "DOUBLE", None, "down"), _is(f"'{text}'", "DOUBLE")
    with duckdb.connect() as connection:
        found = connection.execute(f"select {sql}, coalesce({test}, false)")
        ((value, inferred),) = found.fetchall()
    assert value == (float(text) if held else None)
    assert not inferred or held


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ('{"a":9007199254740993.0}', None),
        ('{"b":1,"a":-9007199254740993.00}', None),
        ('{"a":9007199254740994.0}', 9007199254740994.0),
        ('{"a":9007199254740993.5}', 9007199254740994.0),
        ('{"a":1.5e300,"b":9007199254740993.0}', 1.5e300),
        ('{"a":0.1,"b":9007199254740993.0}', 0.1),
        ('{"a":-0}', -0.0),
        ('{"a":-0.0}', -0.0),
        ('{"a":0,"b":-0}', 0.0),
        ('{"a":-0,"c":{"a":-0}}', None),
        ('{"a":"9007199254740993.0","b":-0}', None),
        ('{"a":"-0","b":-0}', -0.0),
    ],
)
def test_a_number_of_json(written: str, held: float | None) -> None:
    reading = read_json("json_extract(j, '$.a')", "a", "j::varchar", "DOUBLE", None, "down")
    assert reading is not None
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select {reading.value}, {reading.fits} from (select ?::json as j)", [written]
        )
        ((value, fits),) = found.fetchall()
    assert (repr(value), fits) == (repr(held), held is not None)


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ('{"a":[9007199254740994.0,0.5]}', [9007199254740994.0, 0.5]),
        ('{"a":[9007199254740993.0]}', None),
        ('{"a":[1e300,-0.0]}', [1e300, -0.0]),
        ('{"a":[-0]}', None),
        ('{"a":[0.5],"b":-0}', [0.5]),
    ],
)
def test_numbers_of_a_list(written: str, held: list[float] | None) -> None:
    """Where it cannot be told which number is meant, only what may change is refused."""
    reading = read_json("json_extract(j, '$.a')", "a", "j::varchar", "DOUBLE[]", None, "down")
    assert reading is not None
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select {reading.value}, {reading.fits} from (select ?::json as j)", [written]
        )
        ((value, fits),) = found.fetchall()
    assert fits == (held is not None)
    assert held is None or repr(value) == repr(held)
