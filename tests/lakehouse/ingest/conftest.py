"""A lake of one's own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from lakehouse.lake import open_lake


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    return open_lake(
        {
            "name": "lake",
            "uri": f"sqlite:///{tmp_path}/lake/catalog.db",
            "warehouse": str(tmp_path / "lake" / "warehouse"),
        }
    )
