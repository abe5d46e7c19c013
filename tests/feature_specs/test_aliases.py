"""What may be an alias of a feature, and what is refused, with why."""

from __future__ import annotations

from datetime import date

import pytest

from feature_specs.aliases import alias_features
from feature_specs.catalog import Feature
from feature_specs.errors import ForebayError
from feature_specs.view_options import read_options

FEATURES = (Feature("total", "BIGINT", "All of it."), Feature("age", "DOUBLE", "", ["clock"]))


def made(aliases: object) -> tuple[Feature, ...]:
    options = read_options({"entities": ["customer"], "aliases": aliases}, "models.yml")
    return alias_features(options.aliases, FEATURES, {"customer", "paid_at"}, "models.yml")


def test_an_alias_reads_as_its_feature_does() -> None:
    spent, old = made(
        {"Spent": "TOTAL", "old": {"of": "age", "deprecation_date": date(2026, 12, 31)}}
    )
    assert spent == Feature("Spent", "BIGINT", "All of it.", None, "total")
    assert spent.stored_as == "total" and FEATURES[0].own_name == "total"
    assert old == Feature("old", "DOUBLE", "", ["clock"], "age", "2026-12-31")
    assert made(None) == ()


@pytest.mark.parametrize(
    ("aliases", "told"),
    [
        ({"spent": "totl"}, "did you mean 'total'"),
        ({"age": "total"}, "has the name of a column"),
        ({"Customer": "total"}, "has the name of a column"),
        ({"PAID_AT": "total"}, "has the name of a column"),
        ({"a": "total", "A": "total"}, "has the name of a column"),
        ({"a": "total", "b": "a"}, "not a feature of the view"),
        ({"a b": "total"}, "not a plain name"),
        ({"fb_a": "total"}, "begins like forebay's own"),
        (["a"], "not a mapping"),
        ({"a": 1}, "deprecation_date"),
        ({"a": {"feature": "total"}}, "deprecation_date"),
        ({"a": {"of": "total", "until": "2026-01-01"}}, "no field 'until'"),
        ({"a": {"of": "total", "deprecation_date": "soon"}}, "'soon'"),
    ],
)
def test_what_is_no_alias(aliases: object, told: str) -> None:
    with pytest.raises(ForebayError, match="Hint") as stop:
        made(aliases)
    assert told in str(stop.value) and "models.yml" in str(stop.value)
