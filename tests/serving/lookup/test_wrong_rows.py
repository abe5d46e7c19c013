"""Rows that do not have their view's columns are refused, never read as other features' values."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from serving.keys import encode_key
from serving.state import ViewState
from serving.stores import StoredView, open_store
from tests.serving.lookup.world import SYNCED, Kind, make_catalog, us
from tests.serving.project import make_view
from tests.serving.stored_rows import encode_row


@pytest.mark.parametrize("fragments", [["1"], ["1", "2.0", "3"], ["null"]])
@pytest.mark.parametrize("carriers", [["AA"], ["B6", "AA", "B6"]])
@pytest.mark.parametrize("path", ["/get-online-features", "/v1/vectors"])
def test_a_row_of_another_width(
    tmp_path: Path, fragments: list[str], carriers: list[str], path: str
) -> None:
    view = make_view("delays")
    catalog = make_catalog(tmp_path, {"delays": Kind(view, {})})
    store = open_store(catalog.online)
    rows = [
        (encode_key(["AA"]), encode_row(None, fragments)),
        (encode_key(["B6"]), encode_row(None, ["5", "5.0"])),
    ]
    state = ViewState(us(SYNCED), view.semantic_hash, 2).dumps()
    store.write(StoredView.of(view), rows, (), state, replace=True)
    store.close()
    body = {"features": ["delays:n", "delays:delay"], "entities": {"carrier": carriers}}
    with TestClient(create_app(catalog)) as client:
        response = client.post(path, json=body)
    assert response.status_code == 500
    assert "do not have its columns" in response.text
