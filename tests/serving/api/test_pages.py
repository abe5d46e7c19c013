"""The catalogue page, the listing, health and metrics."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.api import create_app
from serving.api.page import duration
from tests.serving.api.conftest import ask
from tests.serving.project import Project, make_view


class Tags(HTMLParser):
    """Collects the elements of a page and the URLs that they name."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.urls += [value or "" for name, value in attrs if name in ("src", "href", "action")]


HEALTHY: dict[str, Any] = {"status": "ok", "not_ready": [], "waiting": [], "problem": None}


def test_the_page_shows_the_catalogue(client: TestClient) -> None:
    response = client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    page = response.text
    for text in ("delays", "excess", "DOUBLE", "arrival", "4 h", "computed when read", "ops"):
        assert text in page
    assert "flights &lt;b&gt;today&lt;/b&gt;" in page
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.tags
    assert all(url.startswith(("/", "#")) for url in tags.urls)


def test_the_page_can_be_searched(client: TestClient) -> None:
    page = client.get("/", params={"q": "GATE"}).text
    assert "view-last__seen" in page
    assert 'id="view-delays"' not in page
    assert "1 view, 1 service" in page
    assert "Nothing matches" in client.get("/", params={"q": "gate zeppelin"}).text


def test_everything_on_the_page_is_escaped(served: Project) -> None:
    attack = '"><script>alert(1)</script>'
    served.add(make_view(attack, description=attack, owner=attack, file=attack, event_time=attack))
    served.service(attack, (attack, attack))
    changed = replace(served.catalog, project=attack)
    with TestClient(create_app(changed)) as client:
        for query in ("", attack):
            page = client.get("/", params={"q": query}).text
            assert "alert(1)" in page
            assert "<script" not in page


def test_the_listing(client: TestClient) -> None:
    found = client.get("/features").json()
    views = {view["name"]: view for view in found["views"]}
    assert list(views) == ["delays", "last__seen", "strict"]
    assert views["delays"]["online"] == {"status": "fresh", "rows": 3, "age_us": 4 * 3_600_000_000}
    assert views["strict"]["online"]["status"] == "stale"
    assert views["delays"]["features"][2] == {
        "name": "excess",
        "reference": "delays:excess",
        "type": "DOUBLE",
        "description": "",
        "computed_at_reading": True,
    }
    assert found["services"][0]["features"] == ["delays:n", "last__seen:gate"]


def test_health(client: TestClient) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, HEALTHY)


def test_metrics(client: TestClient) -> None:
    ask(client, features=["delays:n"], entities={"carrier": ["AA", "B6", "XX", "YY"]})
    client.post("/get-online-features", content=b"{")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in (
        'forebay_requests_total{status="200"} 1.0',
        'forebay_requests_total{status="400"} 1.0',
        'forebay_request_seconds_bucket{le="+Inf"} 2.0',
        "forebay_request_seconds_count 2.0",
        'forebay_feature_values_total{status="PRESENT",view="delays"} 1.0',
        'forebay_feature_values_total{status="NOT_FOUND",view="delays"} 2.0',
        'forebay_feature_values_total{status="NULL_VALUE",view="delays"} 1.0',
        'forebay_view_age_seconds{view="delays"} 14400.0',
        'forebay_view_rows{view="delays"} 3.0',
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 s"),
        (999_999, "0 s"),
        (90_000_000, "1 min 30 s"),
        (90_061_000_000, "1 d 1 h"),
        (-3_600_000_000, "-1 h"),
    ],
)
def test_durations(us: int, text: str) -> None:
    assert duration(us) == text
