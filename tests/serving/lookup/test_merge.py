"""Which catalog is served while a project goes from one to the next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from feature_specs.catalog import Catalog, Feature, LeftOut, ServiceEntry, ViewEntry
from feature_specs.view_entry import Role
from serving.lookup.merge import Merged, merge
from tests.serving.project import make_view

OLD = make_view("delays")
NEW = make_view("delays", semantic_hash="hash2", features=(Feature("m", "BIGINT"),))
OTHER = make_view("other")


def catalog(*views: ViewEntry, service: str = "", **changes: object) -> Catalog:
    made = Catalog("test", {}, "lmdb:///x", views={view.name: view for view in views})
    if service:
        made = replace(made, services={"s": ServiceEntry("s", (("delays", service),))})
    return replace(made, **changes)  # type: ignore[arg-type]


def merged(
    served: Catalog,
    later: Catalog,
    stored: Collection[ViewEntry],
    retired: Collection[ViewEntry] = (),
) -> Merged:
    return merge(
        served,
        later,
        lambda view: view in stored and view not in retired,
        lambda view: view in stored,
    )


@pytest.mark.parametrize(
    ("stored", "expected", "waiting"),
    [
        ([OLD], OLD, ("delays",)),  # built or not: not synced yet
        ([OLD, NEW], NEW, ()),
        ([NEW], NEW, ()),
        ([], NEW, ()),  # neither can be read: errors are about what is compiled
    ],
)
def test_a_view_is_served_as_it_was_until_its_rows_are_there(
    stored: list[ViewEntry], expected: ViewEntry, waiting: tuple[str, ...]
) -> None:
    found = merged(catalog(OLD), catalog(NEW), stored)
    assert (found.catalog.views["delays"], found.waiting) == (expected, waiting)


def test_rows_that_were_left_behind_are_not_gone_back_to_until_they_are_synced() -> None:
    found = merged(catalog(NEW), catalog(OLD), [OLD, NEW], retired=[OLD])
    assert (found.catalog.views["delays"], found.waiting) == (NEW, ("delays",))


def test_one_view_that_waits_stops_no_other() -> None:
    changed = replace(OTHER, semantic_hash="hash2")
    found = merged(catalog(OLD, OTHER), catalog(NEW, changed), [OLD, changed])
    assert found.catalog.views == {"delays": OLD, "other": changed}


def test_what_is_new_is_there_at_once_and_what_was_removed_is_gone() -> None:
    assert dict(merged(catalog(OLD), catalog(OTHER), [OLD]).catalog.views) == {"other": OTHER}


def test_what_does_not_change_rows_is_taken_at_once() -> None:
    told = replace(OLD, description="other words", ttl_us=5)
    found = merged(catalog(OLD), catalog(told), [OLD, told])
    assert (found.catalog.views["delays"], found.waiting) == (told, ())


def test_a_service_is_as_it_was_while_its_features_are() -> None:
    served, later = catalog(OLD, service="n"), catalog(NEW, service="m")
    assert merged(served, later, [OLD]).catalog.services == served.services
    assert merged(served, later, [OLD, NEW]).catalog.services == later.services


ROLE = Role("other", {"carrier": "buyer"})


def test_a_view_takes_the_name_of_a_role_that_was() -> None:
    found = merged(
        catalog(OTHER, roles={"delays": ROLE}), catalog(OLD, OTHER), [OLD, OTHER]
    ).catalog
    assert (dict(found.roles), found.view_behind("delays")) == ({}, "delays")
    # Nor is the role there, whose rows others may read, of a view that cannot be compiled.
    left_out = {OLD.unique_id: LeftOut("delays", "a leaf cannot be read", "models/delays.sql", "")}
    later = catalog(OTHER, left_out=left_out)
    assert not merged(catalog(OTHER, roles={"delays": ROLE}), later, [OTHER]).catalog.roles


@pytest.mark.parametrize(
    "role", [Role("third", {"carrier": "buyer"}), Role("other", {"carrier": "b"})]
)
def test_no_service_of_before_reads_a_role_that_means_another_by_now(role: Role) -> None:
    features = (("buyer", OTHER.features[0].name),)
    views, third = (OLD, OTHER), make_view("third")
    served = catalog(*views, roles={"buyer": ROLE}, services={"s": ServiceEntry("s", features)})
    entry = ServiceEntry("s", (*features, ("delays", "m")))
    later = catalog(NEW, OTHER, third, roles={"buyer": ROLE}, services={"s": entry})
    stored = [OLD, OTHER, third]
    assert merged(served, later, stored).catalog.services == served.services
    later = replace(later, roles={"buyer": role})
    assert merged(served, later, stored).catalog.services == later.services


def test_a_view_that_could_not_be_compiled_this_time_is_served_as_it_was() -> None:
    out = LeftOut("delays", "a leaf cannot be read", "models/delays.sql", "")
    later = catalog(OTHER, left_out={OLD.unique_id: out})
    found = merged(catalog(OLD), later, [OLD])
    assert found.catalog.view("delays") == OLD
    assert (found.waiting, dict(found.catalog.left_out)) == (("delays",), {})
    assert dict(merged(catalog(OLD), later, []).catalog.left_out) == {OLD.unique_id: out}
