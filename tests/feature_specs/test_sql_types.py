"""A spine column widens to a key exactly where the compiled statement takes it."""

from __future__ import annotations

import duckdb
import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.sql_types import widens
from tests.feature_specs.oracle import connect

#: Types and a value that is the same key in all of a group.
GROUPS = [
    {
        kind: f"cast(3 as {kind})"
        for signed in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
        for kind in (signed, f"U{signed}")
    }
    | {"DECIMAL(9,2)": "3.00::decimal(9,2)"},
    {"VARCHAR": "'a'", "ENUM('a', 'b')": "cast('a' as enum('a', 'b'))"},
    {
        "DATE": "date '2024-01-01'",
        "TIMESTAMP": "timestamp '2024-01-01'",
        "TIMESTAMP WITH TIME ZONE": "timestamptz '2024-01-01 00:00+00'",
    },
    {"BOOLEAN": "true"},
]
VALUES = {kind: value for group in GROUPS for kind, value in group.items()}


@pytest.mark.parametrize(
    "wanted", ["BIGINT", "UINTEGER", "VARCHAR", "DATE", "TIMESTAMP", "BOOLEAN"]
)
def test_it_agrees_with_the_statement(wanted: str) -> None:
    leaf = Leaf("events", {"k": wanted, "ts": "TIMESTAMPTZ"}, event_time="ts")
    view = compile_view(
        FeatureView("v", "select k, count(*) as n from events group by k", ["k"]), [leaf]
    )
    connection = connect()
    connection.execute(
        f"create table events as select {VALUES[wanted]} as k, timestamptz '2024-01-02' as ts"
    )
    group = next(g for g in GROUPS if wanted in g)
    for given, value in VALUES.items():
        spine = f"(select {value} as k, timestamptz '2024-01-03' as ts)"
        statement = f"select n from ({view.point_in_time(spine=spine)})"
        assert widens(given, wanted) is (given in group)
        if given in group:
            assert connection.execute(statement).fetchall() == [(1,)], given
        else:
            with pytest.raises(duckdb.Error, match="cast"):
                connection.execute(statement)
