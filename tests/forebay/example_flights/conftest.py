"""A lake of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from tests.lakehouse.local_lake import local_lake


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    return local_lake(tmp_path)
