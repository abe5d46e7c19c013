"""A synced project with a view of each access, behind a gate, and a key of each team."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog
from serving.access.api_key import make_key
from serving.access.audit import Audit
from serving.access.gate import Gate
from serving.access.keys_file import KeysFile, TeamEntry, write_keys
from serving.api import App, create_app
from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
ACCESS = {
    "open": ViewAccess("public", "ops", "ops@x.org"),
    "usual": ViewAccess("protected", "ops", "ops@x.org"),
    "secret": ViewAccess("private", "risk", "risk@x.org"),
}
FEAST, VECTORS = "/get-online-features", "/v1/vectors"


@dataclass
class Guarded:
    """An application behind a gate, and a key of each team.

    Attributes:
        clock: what the gate takes for now.
    """

    project: Project
    app: App
    client: TestClient
    keys: dict[str, str]
    clock: list[datetime]
    keys_path: Path
    catalog_path: Path
    audit_path: Path

    def ask(self, team: str | None, *views: str, path: str = FEAST, **headers: str) -> Any:
        """Ask for the feature n of views, by a team's key."""
        body = {
            "features": [f"{view}:n" for view in views],
            "entities": {"carrier": ["AA"]},
        }
        if path == FEAST:
            body["full_feature_names"] = True  # type: ignore[assignment]
        return self.client.post(path, json=body, headers=headers | self.header(team))

    def header(self, team: str | None) -> dict[str, str]:
        return {} if team is None else {"authorization": f"Bearer {self.keys[team]}"}

    def compile(self, catalog: Catalog) -> None:
        """Write another catalog.json, and let the application look at it."""
        self.project.catalog = catalog
        self.catalog_path.with_suffix(".new").write_text(catalog.dumps())
        self.catalog_path.with_suffix(".new").replace(self.catalog_path)
        self.look()

    def look(self) -> None:
        portal = self.client.portal
        assert portal is not None
        portal.call(self.app._look_keys)
        portal.call(self.app._look)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("synced"))
    for number, name in enumerate(ACCESS):
        view = make_view(name)
        made.add(view)
        made.build(view, carriers({"AA": (number, 0.0)}), instant("07-01T08:00"))
    made.service("all", *((name, "n") for name in ACCESS))
    made.catalog = replace(made.catalog, access=ACCESS, groups=("ops", "risk"))
    sync(made.catalog)
    return made


@pytest.fixture
def guarded(synced: Project, tmp_path: Path) -> Iterator[Guarded]:
    project = copy(synced)
    held, keys = KeysFile(), {}
    for team in ("risk", "ops", "ads", "outside"):
        keys[team], stored = make_key(team, NOW)
        held = held.with_key(stored)
    held = held.with_team("outside", TeamEntry(access="public"))
    keys_path, catalog_path = tmp_path / "keys.json", tmp_path / "catalog.json"
    write_keys(keys_path, held)
    catalog_path.write_text(project.catalog.dumps())
    clock, audit_path = [NOW], tmp_path / "audit.jsonl"
    app = create_app(
        project.catalog,
        path=catalog_path,
        gate=Gate(keys_path, now=lambda: clock[0]),
        audit=Audit(str(audit_path)),
    )
    with TestClient(app) as client:
        yield Guarded(project, app, client, keys, clock, keys_path, catalog_path, audit_path)
