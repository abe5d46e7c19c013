"""One lake for all tests of these modules; each makes tables of its own."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog

from tests.lakehouse.others_write.lakes import lake_in


@pytest.fixture(scope="package")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return lake_in(tmp_path_factory.mktemp("lake"))
