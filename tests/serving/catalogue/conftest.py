"""A project with all that pages show, synced, and its application."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from feature_specs.access import ViewAccess
from feature_specs.catalog import Column, Feature, LeafEntry
from feature_specs.catalogue_facts import (
    FACTS,
    CatalogueFacts,
    Consumer,
    FeatureFacts,
    GroupFacts,
    Reach,
    ServiceFacts,
    SourceFacts,
    ViewFacts,
)
from serving.api import create_app
from serving.sync import sync
from tests.serving.project import Project, carriers, hours, instant, make_view

LEAF = '"shop"."nyc"."flights"'
MEAN = 'AVG("flights"."delay")'


class Links(HTMLParser):
    """Collects what a page links to and loads, its ids, and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.urls += [v or "" for n, v in attrs if n in ("href", "src", "action")]
        self.ids += [v or "" for n, v in attrs if n == "id"]


@dataclass
class Shown:
    """A synced project and its folder of compiled files."""

    project: Project
    facts: CatalogueFacts
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "catalog.json"

    def write(self) -> None:
        """Write catalog.json and catalogue.json."""
        (self.folder / FACTS).write_text(self.facts.dumps())
        self.path.write_text(self.project.catalog.dumps())


def facts_of_views() -> CatalogueFacts:
    """What compile would write of the views of `synced_views`."""
    reach = (Reach(LEAF, "delay", ("AGGREGATION",)),)
    return CatalogueFacts(
        views={
            "delays": ViewFacts(
                "d1",
                "select carrier, avg(delay) from {{ source('nyc', 'flights') }}",
                model="delays",
                version="1",
                latest_version="2",
                tags=("punctuality",),
                bounds=((LEAF, "visible from greatest(departed, landed)"),),
                rows=(Reach(LEAF, "carrier", ("GROUP_BY",)),),
                features={"delay": FeatureFacts(MEAN, ("gold",), reach), "n": FeatureFacts()},
            ),
            "routes": ViewFacts(
                "r1", "select 1", features={"delay": FeatureFacts(MEAN, (), reach)}
            ),
        },
        services={"arrival": ServiceFacts("Arrivals", "high", "https://x.org/a", "ops")},
        sources={LEAF: SourceFacts("Flights.", columns={"delay": "Minutes late."})},
        groups={"ops": GroupFacts("Operations.", "ops@x.org")},
        consumers=(Consumer("board", "dashboard", "ops", "https://x.org/b", reads=("delays",)),),
    )


@pytest.fixture(scope="module")
def synced_views(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("shown"))
    delays = make_view(
        "delays",
        description="How late a carrier is.",
        definition_hash="d1",
        deprecated="2027-01-01",
        features=(
            Feature("n", "BIGINT", "Flights that came in."),
            Feature("delay", "DOUBLE", "Mean minutes late."),
            Feature("excess", "DOUBLE", "", ["sub", ["request", "minutes"], ["column", "delay"]]),
        ),
        requests=(Column("minutes", "DOUBLE"),),
        leaves=(LEAF,),
        freshness_us=hours(6),
    )
    other = make_view("routes", definition_hash="r1", leaves=(LEAF,), owner="routes@example.com")
    project.add(delays, other)
    project.service("arrival", ("delays", "delay"), ("routes", "delay"))
    rows = carriers({"AA": (3, 1.5), "B6": (None, 2.0)})
    for view in (delays, other):
        project.build(view, rows, instant("07-01T08:00"))
    sync(project.catalog)
    columns = {"carrier": "VARCHAR", "delay": "DOUBLE"}
    times = {"event_time": "departed", "loaded_at": "landed"}
    leaf = LeafEntry(LEAF, LEAF, "nyc.flights", "arrival", times=times, columns=columns)
    access = {"delays": ViewAccess("public", "ops", "ops@x.org"), "routes": ViewAccess("public")}
    project.catalog = replace(project.catalog, leaves={LEAF: leaf}, access=access, groups=("ops",))
    return project


@pytest.fixture
def shown(synced_views: Project, tmp_path: Path) -> Shown:
    project = copy(synced_views)
    facts = facts_of_views()
    made = Shown(project, facts, tmp_path / "compiled")
    made.folder.mkdir()
    made.write()
    return made


@pytest.fixture
def client(shown: Shown) -> Iterator[TestClient]:
    with TestClient(create_app(shown.project.catalog, path=shown.path)) as made:
        yield made
