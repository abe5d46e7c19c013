"""What differs, beside Python's own comparison."""

from __future__ import annotations

import itertools
import math

import duckdb
import pytest

from lakehouse.same_values import differ

INF, NAN = math.inf, math.nan
FLOATS = [None, NAN, INF, -INF, 0.0, -0.0, 5.0, 5.0 * (1 + 1e-12), 5.1, 1e300, -1e300, 5e-324]


def same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    if not (math.isfinite(one) and math.isfinite(other)):
        return str(one) == str(other)
    return math.isclose(one, other, rel_tol=1e-9)


@pytest.mark.parametrize("other_kind", ["DOUBLE", None])
def test_floats_beside_python(other_kind: str | None) -> None:
    test = differ("$a::double", "$b::double", "double", other_kind)
    for one, other in itertools.product(FLOATS, FLOATS):
        found = duckdb.execute(f"select {test}", {"a": one, "b": other}).fetchall()
        assert found == [(not same(one, other),)], (one, other)


@pytest.mark.parametrize(
    ("one", "kind", "other", "other_kind", "expected"),
    [
        ("5", "BIGINT", "'five'", "VARCHAR", True),
        ("5", "BIGINT", "'5'", "VARCHAR", False),
        ("5", "BIGINT", "5.0", "DECIMAL(3,1)", False),
        ("'nan'", "FLOAT", "5", "BIGINT", True),
        ("5", "INTEGER", "'inf'", "DOUBLE", True),
        ("5", "INTEGER", "5.000000000001", "DOUBLE", False),
        ("null", "BIGINT", "null", "VARCHAR", False),
        ("null", "DOUBLE", "'nan'", "DOUBLE", True),
        ("9007199254740993", "BIGINT", "9007199254740992", "BIGINT", True),
        ("0.10", "DECIMAL(3,2)", "0.11", "DECIMAL(3,2)", True),
        ("[1.5]", "DOUBLE[]", "[1.5]", "DOUBLE[]", False),
    ],
)
def test_values_of_two_types(
    one: str, kind: str, other: str, other_kind: str, expected: bool
) -> None:
    test = differ(f"{one}::{kind}", f"{other}::{other_kind}", kind, other_kind)
    assert duckdb.execute(f"select {test}").fetchall() == [(expected,)]
