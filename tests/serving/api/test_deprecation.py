"""Answers that read a deprecated view say so, in each format, and no other answer does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from tests.serving.project import Project

pytestmark = pytest.mark.slow

DATES = {"delays": "2013-09-01", "strict": "2013-08-01T02:00:00+02:00"}
FIRST = {"delays": datetime(2013, 9, 1, tzinfo=UTC), "strict": datetime(2013, 8, 1, tzinfo=UTC)}


@pytest.fixture
def client(served: Project) -> TestClient:
    views = {
        name: replace(view, deprecated=DATES.get(name, ""))
        for name, view in served.catalog.views.items()
    }
    return TestClient(create_app(replace(served.catalog, views=views)))


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/get-online-features", "json"),
        ("/v1/vectors", "json"),
        ("/v1/vectors", "msgpack"),
        ("/v1/vectors", "vnd.apache.arrow.stream"),
    ],
)
@pytest.mark.parametrize(
    ("features", "view"),
    [
        (["delays:n"], "delays"),
        (["last__seen:gate", "delays:n"], "delays"),
        (["delays:n", "strict:n"], "strict"),
        (["last__seen:gate"], None),
    ],
)
def test_the_earliest_date_of_the_views_read(
    client: TestClient, path: str, accept: str, features: list[str], view: str | None
) -> None:
    body: dict[str, Any] = {
        "features": features,
        "entities": {"carrier": ["AA"], "origin": ["JFK"], "flight": [1]},
    }
    if view is None:
        body["entities"] = {"origin": ["JFK"], "flight": [1]}
    elif "last__seen:gate" not in features:
        body["entities"] = {"carrier": ["AA"]}
    if path == "/get-online-features":
        body["full_feature_names"] = True
    for _ in range(2):  # the second answer is of a plan that was kept
        headers = client.post(path, json=body, headers={"accept": f"application/{accept}"}).headers
        assert ("deprecation" in headers) == ("sunset" in headers) == (view is not None)
        if view is not None:
            assert headers["deprecation"] == f"@{FIRST[view].timestamp():.0f}"
            assert parsedate_to_datetime(headers["sunset"]) == FIRST[view]
            assert headers["sunset"].endswith(" GMT")
