"""A Feast repository, and the project that the import makes of it."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.feast.environment import feast_python
from tests.feast.repository import spine_rows, write_repository
from tests.forebay.small import run_here


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Applied, with its rows and a spine."""
    folder = write_repository(tmp_path_factory.mktemp("feast") / "repository")
    pq.write_table(spine_rows(random.Random(5)), folder / "spine.parquet")
    return folder


@pytest.fixture(scope="session")
def imported(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the import makes, its rows ingested, compiled."""
    root = tmp_path_factory.mktemp("imported") / "rides"
    files = {"stats_source": "stats", "areas": "areas"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root.parent)
        run_here(
            "import", "feast", str(repository), "--into", "rides", "--python", str(feast_python())
        )
        patch.chdir(root)
        for table, file in files.items():
            path = str(repository / f"{file}.parquet")
            run_here("ingest", f"rides.{table}", path, "--timezone", "UTC")
        run_here("compile")
    return root
