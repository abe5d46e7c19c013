"""The catalogue's pages from a server: what they show, to whom, and that nothing in them runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from starlette.testclient import TestClient

from feature_specs.access import ViewAccess
from feature_specs.catalog import Column, Feature
from feature_specs.names import fold_name
from serving.api import create_app
from tests.serving.api.guarded import Guarded, guarded, synced
from tests.serving.catalogue.conftest import Links, Shown
from tests.serving.project import Project, instant, make_view

__all__ = ["guarded", "synced"]  # fixtures

#: Path of each kind of page to what it must show.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "/": ("5 features", "2 views", "1 service", "Mean minutes late.", "punctuality", "fresh"),
    "/feature/delays/delay": (
        "delays:delay", "DOUBLE", "Mean minutes late.", "fresh", "4 h old", "promised: 6 h at most",
        "Deprecated", "2027-01-01", "gold", "punctuality", "ops", "arrival", "board", "AVG",
        "flights.delay", "aggregated", "groups rows", "It cannot see the future",
        "from its departed on, or from its landed", "greatest(departed, landed)", "1.5", "2.0",
        "same source columns", "the same expression",
    ),
    "/feature/delays/excess": ("computed when read", "minutes"),
    "/view/delays": ("3 features", "How late a carrier is.", "select", "dashboard", "AA", "B6"),
    "/service/arrival": ("Arrivals", "high maturity", "https://x.org/a", "delays", "routes"),
    "/entity/carrier": ("5 features", "2 views", "delays", "routes"),
    "/source/nyc.flights": ("Flights.", "nyc.flights", "Minutes late.", "delays", "delay"),
    "/owner/ops": ("1 view", "delays"),
    "/owner/ops@x.org": ("ops", "Operations."),
    "/group/ops": ("Operations.", "ops@x.org", "1 view", "delays"),
    "/exposure/board": ("dashboard", "ops", "https://x.org/b", "delays", "How late a carrier is."),
    "/views": ("delays", "routes"),
    "/services": ("arrival",),
    "/entities": ("carrier",),
    "/sources": ("nyc.flights",),
    "/owners": ("routes@example.com",),
}  # fmt: skip


@pytest.mark.parametrize("path", SHOWN)
def test_a_page_shows_what_is_known(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = unescape(answer.text)
    for said in SHOWN[path]:
        assert said in text, said


def test_freshness_is_judged_by_the_promise(shown: Shown) -> None:
    views = dict(shown.project.catalog.views)
    for promised, status in ((4 * 3_600_000_000, "fresh"), (4 * 3_600_000_000 - 1, "stale")):
        views["delays"] = replace(views["delays"], freshness_us=promised)
        with TestClient(create_app(replace(shown.project.catalog, views=views))) as client:
            text = client.get("/feature/delays/delay").text
        assert f'class="status {status}"' in text


def test_every_link_leads_somewhere_and_every_id_is_one(client: TestClient) -> None:
    pages: dict[str, Links] = {}
    todo, wanted = ["/"], set()
    while todo:
        path = todo.pop()
        if path in pages:
            continue
        answer = client.get(path)
        assert answer.status_code == 200, path
        html = answer.headers["content-type"].startswith("text/html")
        links = pages[path] = Links(answer.text if html else "")
        assert len(links.ids) == len(set(links.ids)), path
        for url in links.urls:
            if url.startswith(("http://", "https://")):
                continue
            target, fragment = urldefrag(urljoin(path, url))
            wanted.add((urlsplit(target).path, fragment))
            if urlsplit(target).path not in ("/health", "/metrics"):
                todo.append(urlsplit(target).path)  # what facets choose is tested apart
    assert set(SHOWN) <= {urlsplit(path).path for path in pages}
    ids = {urlsplit(path).path: set(links.ids) for path, links in pages.items()}
    assert not {(p, f) for p, f in wanted if f and f not in ids[p]}


def test_a_prefix_before_the_server_breaks_no_link(client: TestClient) -> None:
    for path in SHOWN:
        for url in Links(client.get(path).text).urls:
            assert not url.startswith("/"), (path, url)


def test_the_policy_lets_nothing_run_that_stands_in_a_page(client: TestClient) -> None:
    for path in SHOWN:
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        links = Links(answer.text)
        assert "style" not in links.tags and "style" not in links.names
        assert not {name for name in links.names if name.startswith("on")}
        assert "<script>" not in answer.text


def test_hostile_text_is_text_wherever_it_stands(served_attack: TestClient) -> None:
    pages = ["/", "/?q=%3Cscript%3Ealert(1)", "/views", "/services", "/entities", "/owners"]
    home = served_attack.get("/").text
    found = [url for url in Links(home).urls if url.startswith("feature/")]
    assert len(found) == 1
    pages += ["/" + found[0]]
    pages += [
        "/" + u for p in pages[2:6] for u in Links(served_attack.get(p).text).urls if "~" in u
    ]
    assert len(pages) == 11
    for path in pages:
        text = served_attack.get(path).text
        assert "alert(1)" in unescape(text), path
        assert "<script>" not in text and "<img src=x" not in text, path
        assert "javascript:" not in [url[:11] for url in Links(text).urls], path


@pytest.fixture
def served_attack(project: Project) -> TestClient:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    view = make_view(
        attack,
        description=attack,
        owner=attack,
        file=attack,
        event_time=attack,
        assumptions=(attack,),
        entities=(Column(attack, "VARCHAR"),),
        stored=(Column(fold_name(attack), "DOUBLE"),),
        features=(Feature(attack, "DOUBLE", attack),),
    )
    project.sync_delays(1, instant("07-01T08:00"))  # or else there is no store
    project.catalog = replace(project.catalog, views={})
    project.add(view)
    project.service(attack, (attack, attack))
    access = {attack: ViewAccess("public", attack, attack)}
    return TestClient(create_app(replace(project.catalog, project=attack, access=access)))


def test_whoever_may_not_read_a_view_sees_neither_rows_nor_sql(guarded: Guarded) -> None:
    said = "your key's team may not read this view"
    for team, reads in (("risk", True), ("ads", False), ("outside", False)):
        for path in ("/feature/secret/n", "/view/secret"):
            answer = guarded.client.get(path, headers=guarded.header(team))
            assert answer.status_code == 200
            assert (said in unescape(answer.text)) is not reads
            # The only entity of the view; snippets may not name it either.
            assert ("AA" in answer.text) is reads
    assert guarded.client.get("/feature/secret/n").status_code == 401
    assert guarded.client.get("/assets/catalogue.css").status_code == 401


def test_a_later_definition_is_not_told_of_the_one_that_is_served(shown: Shown) -> None:
    facts = dict(shown.facts.views)
    facts["delays"] = replace(facts["delays"], definition_hash="other", sql="select 'later'")
    shown.facts = replace(shown.facts, views=facts)
    shown.write()
    with TestClient(create_app(shown.project.catalog, path=shown.path)) as client:
        text = client.get("/feature/delays/delay").text
        assert "later&#39;" not in text and "compiled another definition" in text
        # The server's own catalog says when the view is given up.
        assert "2027-01-01" in text


def test_a_feature_links_to_what_its_view_compiles_to_without_reading_it(shown: Shown) -> None:
    home = shown.folder / "sql" / "duckdb" / "delays"
    linked = "What the view compiles to"
    with TestClient(create_app(shown.project.catalog, path=shown.path)) as client:
        assert linked not in client.get("/feature/delays/delay").text
        home.mkdir(parents=True)
        (home / "as_of.sql").write_bytes(b"select '\xff'")  # no text: reading it would fail
        assert linked in client.get("/feature/delays/delay").text


def test_pages_follow_what_is_compiled(shown: Shown) -> None:
    with TestClient(create_app(shown.project.catalog, path=shown.path)) as client:
        assert "punctuality" in client.get("/view/delays").text
        facts = dict(shown.facts.views)
        facts["delays"] = replace(facts["delays"], tags=("renamed",))
        shown.facts = replace(shown.facts, views=facts)
        shown.write()
        text = client.get("/view/delays").text
        assert "renamed" in text and "punctuality" not in text


def test_what_is_not_there(client: TestClient) -> None:
    for path in (
        "/feature/delays/dealy",
        "/view/x",
        "/service/x",
        "/owner/x",
        "/entity/x",
        "/source/x",
    ):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "There is no such page" in answer.text
    assert client.get("/assets/none.js", follow_redirects=False).status_code == 303
    assert client.get("/?from=x").status_code == 422


def test_a_search_without_a_script(client: TestClient) -> None:
    text = client.get("/", params={"q": "mintues", "entity": "carrier"}).text
    assert "<strong>1 feature</strong> for" in text
    assert 'value="mintues"' in text and 'name="entity" value="carrier"' in text
    text = client.get("/", params={"q": "zeppelin"}).text
    assert "<strong>0 features</strong>" in text and 'class="empty">Nothing has' in text


def test_features_as_json(client: TestClient) -> None:
    found = client.get("/v1/features", params={"q": "delays:delay", "limit": 1}).json()
    assert (found["total"], len(found["features"])) == (3, 1)
    first = found["features"][0]
    age = 4 * 3_600_000_000
    assert first == {
        "reference": "delays:delay",
        "name": "delay",
        "view": "delays",
        "entities": [{"name": "carrier", "type": "VARCHAR"}],
        "type": "DOUBLE",
        "description": "Mean minutes late.",
        "owner": "ops",
        "access": "public",
        "group": "ops",
        "tags": ["gold", "punctuality"],
        "sources": ["nyc.flights.delay"],
        "services": ["arrival"],
        "computed_at_reading": False,
        "deprecated": "2027-01-01",
        "freshness_us": 6 * 3_600_000_000,
        "status": "fresh",
        "age_us": age,
        "readable": True,
        "page": "feature/delays/delay",
    }
    everything = client.get("/v1/features").json()
    assert everything["total"] == 5
    pages = [client.get("/v1/features", params={"limit": 2, "offset": n}).json() for n in (0, 2, 4)]
    assert [f for p in pages for f in p["features"]] == everything["features"]
    for wrong in ("limit=1001", "limit=x", "offset=-1", "limit="):
        assert client.get(f"/v1/features?{wrong}").status_code == 422


def test_a_server_that_is_asked_for_vectors_alone_loads_no_templates(shown: Shown) -> None:
    script = f"""
import sys
from pathlib import Path
from starlette.testclient import TestClient
from feature_specs.catalog import load_catalog
from feature_specs.names import fold_name
from serving.api import create_app
path = Path({str(shown.path)!r})
with TestClient(create_app(load_catalog(path), path=path)) as client:
    body = {{"features": ["delays:n"], "entities": {{"carrier": ["AA"]}}}}
    assert client.post("/v1/vectors", json=body).json()["vectors"] == [[3]]
    before = set(sys.modules)
    assert "jinja2" not in before and "serving.catalogue.site" not in before
    assert client.get("/").status_code == 200
    assert "jinja2" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
