"""The servers of lakes elsewhere start, and pyiceberg works with them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

from tests.servers.postgres import PostgresServer
from tests.servers.rest_catalog import rest_catalog_server
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

_ROWS = pa.table({"a": [1, 2]})


def test_a_rest_catalog_vends_credentials_for_its_warehouse(
    postgres: PostgresServer, s3: S3Server
) -> None:
    warehouse = f"s3://{s3.create_bucket()}/warehouse"
    with rest_catalog_server(postgres, warehouse, s3=s3, vended=s3.properties()) as url:
        catalog = load_catalog("lake", type="rest", uri=url)
        catalog.create_namespace("n")
        catalog.create_table("n.t", schema=_ROWS.schema).append(_ROWS)
        table = catalog.load_table("n.t")
        assert table.location().startswith(warehouse)
        assert table.scan().to_arrow().equals(_ROWS)


def test_a_rest_catalog_keeps_local_locations_as_they_are(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    warehouse = f"file://{tmp_path}/ware house"
    with rest_catalog_server(postgres, warehouse) as url:
        catalog = load_catalog("lake", type="rest", uri=url)
        catalog.create_namespace("n")
        table = catalog.create_table("n.t", schema=_ROWS.schema)
        table.append(_ROWS)
        assert table.metadata_location.startswith(f"{warehouse}/n/t/metadata/")
        assert catalog.load_table("n.t").scan().to_arrow().equals(_ROWS)
