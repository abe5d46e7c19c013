"""What a spine file's columns may be named, checked before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_specs.errors import DataError
from forebay.training import _check_names

FEATURES = ("v__v", "v__N")


@pytest.mark.parametrize("name", ["v__v", "V__V", "v__n", "fb_row", "FB_anything"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=name) as caught:
        _check_names(["k", "ts", name], FEATURES, Path("labels.csv"))
    assert caught.value.where == "labels.csv" and "rename" in caught.value.mend


def test_other_names_are_taken_as_they_are() -> None:
    _check_names(
        ["k", "ts", "v", "v__v_1", "Ärger", "label", "afb_row"], FEATURES, Path("labels.csv")
    )
