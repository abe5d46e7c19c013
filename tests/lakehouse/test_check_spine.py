"""What a spine file's columns may be named, checked before anything is computed."""

from __future__ import annotations

import pytest

from feature_specs.catalog import Catalog, Column, Feature, ViewEntry
from feature_specs.errors import DataError
from lakehouse.check_spine import check_columns, check_names

FEATURES = ("v__v", "v__N")


@pytest.mark.parametrize("name", ["v__v", "V__V", "v__n", "fb_row", "FB_anything"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=name) as caught:
        check_names(["k", "ts", name], FEATURES, "labels.csv")
    assert caught.value.where == "labels.csv" and "rename" in caught.value.hint


def test_other_names_are_taken_as_they_are() -> None:
    check_names(["k", "ts", "v", "v__v_1", "Ärger", "label", "afb_row"], FEATURES, "labels.csv")


def _catalog(key: str) -> Catalog:
    view = ViewEntry.of(
        "v",
        "features.v",
        semantic_hash="",
        entities=[Column("k", key)],
        stored=[Column("n", "BIGINT")],
        features=[Feature("n", "BIGINT")],
    )
    return Catalog(project="test", lake={}, online="", views={"v": view})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("UTINYINT", "BIGINT"), ("UINTEGER", "BIGINT"), ("UBIGINT", "INTEGER"),
        ("DECIMAL(9,0)", "BIGINT"), ("DATE", "TIMESTAMP"), ("TIMESTAMP WITH TIME ZONE", "DATE"),
        ("ENUM('a', 'b')", "VARCHAR"), ("UUID", "UUID"),
    ],
)  # fmt: skip
def test_a_key_that_the_statement_takes_is_taken(given: str, wanted: str) -> None:
    assert check_columns(_catalog(wanted), ["v"], {"K": given}, "labels.csv") == {"k"}


@pytest.mark.parametrize(("given", "wanted"), [("VARCHAR", "BIGINT"), ("DOUBLE", "BIGINT")])
def test_a_key_of_another_kind_is_refused(given: str, wanted: str) -> None:
    with pytest.raises(DataError, match=f"'k' is a {given}, but .* has it as {wanted}"):
        check_columns(_catalog(wanted), ["v"], {"k": given}, "labels.csv")
