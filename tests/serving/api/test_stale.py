"""What is answered of a view whose rows are older than it allows, in both shapes, and what tells of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from tests.serving.project import Project, hours

AA: dict[str, Any] = {"features": ["delays:n"], "entities": {"carrier": ["AA", "XX"]}}


@pytest.mark.parametrize("on_stale", ["serve", "null", "error"])
@pytest.mark.parametrize("stale", [False, True])
def test_what_is_answered(served: Project, on_stale: str, stale: bool) -> None:
    """The rows are of 08:00, and it is 12:00."""
    allowed_us = hours(4) - stale
    view = replace(served.catalog.view("delays"), freshness_us=allowed_us, on_stale=on_stale)
    served.add(view)
    with TestClient(create_app(served.catalog)) as client:
        feast = client.post("/get-online-features", json=AA)
        vectors = client.post("/v1/vectors", json=AA | {"ages": True})
        metrics = client.get("/metrics").text.splitlines()
        (listed,) = [v for v in client.get("/features").json()["views"] if v["name"] == "delays"]
    if stale and on_stale == "error":
        assert feast.status_code == vectors.status_code == 503
        assert "14400 seconds old" in feast.text and "14400 seconds old" in vectors.text
    else:
        withheld = stale and on_stale == "null"
        result = feast.json()["results"][1]
        assert result["values"] == [None if withheld else 3, None]
        assert result["statuses"] == ["OUTSIDE_MAX_AGE" if withheld else "PRESENT", "NOT_FOUND"]
        told = vectors.json()
        assert told["vectors"] == [[None if withheld else 3], [None]]
        statuses = [each["status"] for each in told["absent"]]
        assert statuses == ["OUTSIDE_MAX_AGE"] * withheld + ["NOT_FOUND"]
        assert told["ages"] == {"delays": 4 * 3600.0}
    assert listed["online"]["status"] == ("stale" if stale else "fresh")
    assert 'forebay_view_age_seconds{view="delays"} 14400.0' in metrics
    assert f'forebay_view_freshness_seconds{{view="delays"}} {allowed_us / 1e6}' in metrics
    assert f'forebay_view_stale{{view="delays"}} {float(stale)}' in metrics
