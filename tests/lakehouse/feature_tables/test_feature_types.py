"""Types that feature tables, the online store and the API hold."""

from __future__ import annotations

import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.catalog import Column
from feature_specs.compile import CompiledView
from feature_specs.errors import CompileError
from lakehouse.feature_tables.feature_types import table_types
from serving.keys import coercer


def keyed_by(kind: str) -> CompiledView:
    leaf = Leaf("e", {"k": kind, "ts": "TIMESTAMP WITH TIME ZONE"}, event_time="ts")
    view = FeatureView("v", "select k, count(*) as n from e group by k", ["k"], file="v.sql")
    return compile_view(view, [leaf])


@pytest.mark.parametrize(
    "kind",
    ["TINYINT", "INTEGER", "UTINYINT", "UBIGINT", "HUGEINT", "BOOLEAN", "VARCHAR", "UUID", "DATE",
     "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DECIMAL(5,2)"],
)  # fmt: skip
def test_a_key_of_these_types_is_stored_and_asked(kind: str) -> None:
    stored, _ = table_types(keyed_by(kind))
    assert callable(coercer(Column("k", stored["k"])))


@pytest.mark.parametrize("kind", ["BLOB", "TIME", "INTEGER[]", "STRUCT(a INTEGER)"])
def test_a_key_that_the_online_store_cannot_have_is_refused_when_compiled(kind: str) -> None:
    with pytest.raises(CompileError, match="cannot be a key online") as caught:
        table_types(keyed_by(kind))
    assert "cast it to text" in caught.value.hint


@pytest.mark.parametrize("kind", ["DOUBLE[]", "STRUCT(a FLOAT)", "MAP(INTEGER, DOUBLE)"])
def test_a_float_within_a_key_is_refused(kind: str) -> None:
    with pytest.raises(CompileError, match="a float cannot be a key"):
        keyed_by(kind)


def test_a_float_in_a_name_is_none() -> None:
    table_types(keyed_by("ENUM('DOUBLE')"))
