"""docs/client.md: every example in it runs, and prints what it shows."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_specs.catalog import Column, Feature
from serving.sync import sync
from tests.forebay.client.conftest import MORNING, write_catalog
from tests.serving.project import Project, carriers, hours, make_view
from tests.serving.server_process import ServerProcess, server_of

PAGE = Path(__file__).parents[3] / "docs" / "client.md"
ADDRESS = "http://127.0.0.1:6566"


@pytest.fixture
def flights(tmp_path: Path) -> Iterator[tuple[Project, ServerProcess]]:
    """A project with the page's names, served."""
    project = Project(tmp_path)
    view = make_view(
        "carrier_arrivals",
        stored=(Column("arrivals_7d", "BIGINT"), Column("mean_delay_7d", "DOUBLE")),
        features=(
            Feature("arrivals_7d", "BIGINT"),
            Feature("mean_delay_7d", "DOUBLE"),
            Feature("north", "DOUBLE", "", ["sub", ["request", "lat"], ["literal", 0.5, "DOUBLE"]]),
        ),
        requests=(Column("lat", "DOUBLE"),),
        freshness_us=hours(24),
    )
    project.add(view)
    project.service("arrival_delay_v1", *(("carrier_arrivals", f.name) for f in view.features))
    rows = carriers({"AA": (3, 1.5), "UA": (0, None)})
    project.build(view, rows.rename_columns(["carrier", "arrivals_7d", "mean_delay_7d"]), MORNING)
    sync(project.catalog)
    write_catalog(tmp_path, project.catalog)
    with server_of(project.catalog, tmp_path) as server:
        yield project, server


def test_the_page_s_examples_run(
    flights: tuple[Project, ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, server = flights
    monkeypatch.chdir(project.folder)
    text = PAGE.read_text().replace("timeout=0.5", "timeout=30").replace("```", "")
    text = text.replace(f'"{ADDRESS}")', f'"{ADDRESS}", timeout=30)').replace(ADDRESS, server.url)
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(page.examples) > 20
    told: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(page, out=told.append)
    page.globs.clear()
    assert results.failed == 0, "".join(told)
