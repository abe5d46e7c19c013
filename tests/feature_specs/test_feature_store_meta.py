"""dbt-features' own meta says of a view what ours does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from feature_specs.errors import SpecError
from feature_specs.feature_store_meta import declared_options
from feature_specs.view_options import ViewOptions, read_options

#: As that package's documentation has it.
META = {
    "is_feature_table": True,
    "entity": "customer_id",
    "grain": ["customer_id", "computed_at"],
    "event_timestamp_column": "computed_at",
    "freshness": {
        "warn_after": {"count": 6, "period": "hour"},
        "error_after": {"count": 2, "period": "day"},
    },
    "owner": "risk@example.com",
    "lifecycle": "active",
}


def test_entity_time_freshness_and_owner_are_taken_over() -> None:
    said, event_time = declared_options({"feature_store": META}, None, "x.yml")
    assert event_time == "computed_at"
    assert read_options(said, "x.yml") == ViewOptions(
        ("customer_id",), "risk@example.com", freshness=timedelta(days=2)
    )


def test_ours_counts_where_both_are_there() -> None:
    meta = {"feature_store": META, "feature_view": {"entities": ["other"]}}
    assert declared_options(meta, "at", "x.yml") == ({"entities": ["other"]}, "at")


def test_a_view_without_a_time_stays_one() -> None:
    said, event_time = declared_options({"feature_store": {"entity": ["a", "b"]}}, None, "x.yml")
    assert event_time is None and read_options(said, "x.yml").entities == ("a", "b")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"entitty": "x"}, "has no field 'entitty'"),
        ({"freshness": {"count": 6}}, "freshness is"),
        ({"freshness": {"warn_after": {"count": 6}}}, "freshness is"),
    ],
)
def test_what_cannot_be_read_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        declared_options({"feature_store": {**META, **changed}}, None, "x.yml")


def test_two_event_times_are_refused() -> None:
    with pytest.raises(SpecError, match=r"of 'computed_at', config\.event_time .* 'paid_at'"):
        declared_options({"feature_store": META}, "paid_at", "x.yml")
    declared_options({"feature_store": META}, "COMPUTED_AT", "x.yml")


def test_no_entity_is_an_error_of_ours() -> None:
    said, _ = declared_options({"feature_store": {"is_feature_table": True}}, None, "x.yml")
    with pytest.raises(SpecError, match="entities is missing"):
        read_options(said, "x.yml")
