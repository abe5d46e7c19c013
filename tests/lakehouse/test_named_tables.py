"""Which tables a query names: all of them, under their names and not their aliases."""

from __future__ import annotations

import duckdb
import pytest

from lakehouse.named_tables import named_tables


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("select * from lake.Main.labels l", {("lake", "main", "labels")}),
        ("from main.labels as l join spending s using (customer)", {("main", "labels"), ("spending",)}),
        ("from (labels l join (spending s join other using (a)) using (b))",
         {("labels",), ("spending",), ("other",)}),
        ("table labels", {("labels",)}),
        ("describe labels", {("labels",)}),
        ("show labels", {("labels",)}),
        ("select * from labels where k in (select k from spending)", {("labels",), ("spending",)}),
        ("with l as (from labels) from l", {("labels",), ("l",)}),
        ('from "a.b"', {("a.b",)}),
        ("select 1", set()),
        ("selec 1", None),
        ("copy labels to 'x'", None),
    ],
)  # fmt: skip
def test_tables_of_a_query(query: str, named: set[tuple[str, ...]] | None) -> None:
    with duckdb.connect() as connection:
        assert named_tables(connection, query) == named
