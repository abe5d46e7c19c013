"""What a view's entry says of its features."""

from __future__ import annotations

import pytest

from feature_specs.view_entry import Expression, Feature


@pytest.mark.parametrize(
    ("expression", "needs"),
    [
        (None, False),
        (["column", "request"], False),
        (["request", "amount"], True),
        (["add", ["column", "a"], ["cast", ["request", "amount"], "DOUBLE"]], True),
        (["in", ["column", "a"], ["literal", ["request", "x"], "VARCHAR[]"]], False),
    ],
)
def test_a_feature_needs_a_request_where_its_expression_reads_one(
    expression: Expression | None, needs: bool
) -> None:
    assert Feature("f", "DOUBLE", "", expression).needs_request is needs
