"""A synced project, a server of it in a process of its own, and each way to ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.catalog import Catalog, Column, Feature
from forebay.client import Client
from forebay.client.local import LocalClient
from serving.sync import sync
from tests.serving.project import UTC_US, Project, carriers, hours, instant, make_view
from tests.serving.server_process import ServerProcess, server_of

MORNING = instant("07-01T08:00")
#: More than one request asks for.
MANY = 2_500


def write_catalog(folder: Path, catalog: Catalog) -> None:
    """Write a catalog where a project's stands, so that the folder can be opened as a project."""
    (folder / "dbt_project.yml").write_text("name: test\n")
    path = folder / "target" / "forebay" / "catalog.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(catalog.dumps())


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Synced at 08:00, served at the catalog's now, 12:00; only read."""
    project = Project(tmp_path_factory.mktemp("served"))
    delays = make_view(
        "delays",
        features=(
            Feature("n", "BIGINT", "flights today"),
            Feature("delay", "DOUBLE"),
            Feature("excess", "DOUBLE", "", ["sub", ["request", "minutes"], ["column", "delay"]]),
        ),
        requests=(Column("minutes", "DOUBLE"),),
        freshness_us=hours(24),
    )
    last = make_view(
        "last__seen",
        entities=(Column("origin", "VARCHAR"), Column("flight", "INTEGER")),
        stored=(Column("gate", "VARCHAR"),),
        event_time="seen_at",
        ttl_us=hours(6),
        features=(Feature("gate", "VARCHAR"),),
    )
    numbers = make_view(
        "numbers",
        entities=(Column("id", "BIGINT"),),
        stored=(Column("twice", "BIGINT"),),
        features=(Feature("twice", "BIGINT"),),
    )
    old = make_view("old", deprecated="2013-08-01")
    project.add(delays, last, numbers, old, make_view("unsynced"))
    project.service("arrival", ("delays", "n"), ("last__seen", "gate"))
    project.service("numbers", ("numbers", "twice"))
    rows = carriers({"AA": (3, 1.5), "B6": (None, float("nan")), "Ü": (0, -0.5)})
    project.build(delays, rows, MORNING)
    project.build(old, rows, MORNING)
    gates = {
        "origin": ["JFK", "JFK"],
        "flight": pa.array([1, 2], pa.int32()),
        "seen_at": pa.array([instant("07-01T06:00"), instant("07-01T05:59")], UTC_US),
        "gate": ["A1", "B2"],
    }
    project.build(last, pa.table(gates), MORNING)
    ids = pa.array(range(MANY), pa.int64())
    twice = pa.array(range(0, 2 * MANY, 2), pa.int64())
    project.build(numbers, pa.table({"id": ids, "twice": twice}), MORNING)
    sync(project.catalog, ["delays", "last__seen", "numbers", "old"])
    write_catalog(project.folder, project.catalog)
    return project


@pytest.fixture(scope="package")
def server(served: Project) -> Iterator[ServerProcess]:
    with server_of(served.catalog, served.folder) as running:
        yield running


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url, timeout=30) as made:
        yield made


@pytest.fixture
def local(served: Project) -> Iterator[LocalClient]:
    with LocalClient(served.folder) as made:
        yield made


@pytest.fixture(params=["client", "local"])
def either(request: pytest.FixtureRequest) -> Client | LocalClient:
    """Both ways to ask."""
    made: Client | LocalClient = request.getfixturevalue(request.param)
    return made
