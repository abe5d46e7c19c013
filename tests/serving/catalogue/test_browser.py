"""The catalogue in a real Chromium: search as you type, keyboard, themes, assistive technology, files."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.catalogue_project import make_project
from feature_specs.catalogue_facts import FACTS
from feature_specs.feature_shapes import SHAPES
from serving.catalogue.directory import Directory
from serving.catalogue.export import export_site, features_script
from serving.catalogue.live import Live
from serving.catalogue.search import Index
from serving.catalogue.site import Site
from tests.servers.browser import axe_script, browser
from tests.serving.catalogue.conftest import facts_of_views
from tests.serving.catalogue.test_pictures import NUMBERS
from tests.serving.project import Project
from tests.serving.server_process import server_of

pytestmark = pytest.mark.slow

PAGES = (
    "",
    "?q=dealy",
    "?q=nothing+like+it",
    "feature/delays/delay",
    "view/delays",
    "service/arrival",
    "entity/carrier",
    "source/nyc.flights",
    "owner/ops",
    "group/ops",
    "exposure/board",
    "views",
    "feature/delays/none",
)
WIDTHS = (400, 900, 1600)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def url(synced_views: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    (folder / FACTS).write_text(facts_of_views().dumps())
    shapes = {"format": 1, "features": {"delays:delay": vars(NUMBERS)}}
    (folder / SHAPES).write_text(json.dumps(shapes))
    with server_of(synced_views.catalog, folder) as server:
        yield server.url + "/"


@pytest.fixture(scope="module")
def site(synced_views: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "out"
    facts = facts_of_views()
    export_site(synced_views.catalog, facts, out, Live(), lambda *_: None)
    return out


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page on which nothing goes wrong that a browser would tell: errors, refusals of the policy."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    told: list[str] = []
    made = context.new_page()
    made.on("console", lambda m: told.append(m.text) if m.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: told.append(str(error)))
    yield made
    context.close()
    # That a page is missing is told too, and meant to be.
    assert not [line for line in told if "404" not in line]


def names(page: Page) -> list[str]:
    return page.locator("#rows a.name").all_text_contents()


def search_as_you_type(page: Page) -> None:
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("mintues", delay=5)
    expect(page.locator("#total")).to_have_text("1 feature for “mintues”")
    assert names(page) == ["delay"]
    assert "q=mintues" in page.url
    page.locator("#q").fill("dealys")
    expect(page.locator("#total")).to_contain_text("3 features")
    page.locator('[data-facet="tag"] a', has_text="gold").click()
    expect(page.locator("#total")).to_contain_text("1 feature ")
    assert "tag=gold" in page.url and page.locator("[aria-current=true]").count() == 1
    page.reload()
    expect(page.locator("#total")).to_contain_text("1 feature ")
    page.locator('[data-facet="tag"] a', has_text="gold").click()
    expect(page.locator("#total")).to_contain_text("3 features")
    expect(page.locator("#others")).to_be_hidden()
    page.locator("#q").fill("carrier")
    expect(page.locator("#others a")).to_contain_text("carrier")
    page.locator("#q").fill("no such thing")
    expect(page.locator("#nothing")).to_be_visible()
    page.locator("#q").fill("")
    expect(page.locator("#total")).to_have_text("5 features")


def walk_by_keyboard(page: Page) -> None:
    """From the search to a feature's page and its graph, without a mouse."""
    page.locator("#q").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.textContent") == names(page)[0] == "n"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("delay")
    page.locator(".graph a", has_text="flights.delay").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("nyc.flights")
    expect(page.locator("tr:target")).to_contain_text("delay")
    page.locator("td a", has_text="delay").first.click()
    expect(page.locator("h1")).to_have_text("delay")


def test_a_server_is_searched_as_one_types(page: Page, url: str) -> None:
    page.goto(url)
    search_as_you_type(page)
    walk_by_keyboard(page)


def test_a_site_of_files_is_searched_as_one_types(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    search_as_you_type(page)
    walk_by_keyboard(page)


def test_a_site_works_from_a_plain_server_below_a_path(page: Page, site: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(site.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/out/?q=gold")
        expect(page.locator("#total")).to_contain_text("1 feature ")
        assert page.locator("#q").input_value() == "gold"
        page.locator("#rows a.name").click()
        expect(page.locator("h1")).to_have_text("delay")
        page.wait_for_load_state("networkidle")  # what is cut off is an error of the page
        server.shutdown()


def test_what_is_copied_is_the_snippet(page: Page, url: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(url + "feature/delays/delay")
    page.locator(".reference .copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == "delays:delay"
    expect(page.locator(".reference .copy")).to_contain_text("Copied")
    page.locator("summary", has_text="Look up by curl").click()
    page.locator("#snippet-lookup-curl .copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -s http://127.0.0.1:") and '"carrier": ["AA"]' in copied
    # Opening one closes the other.
    assert page.locator("#snippet-train-python").get_attribute("open") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    chromium: Browser, url: str, scheme: Any
) -> None:
    script = axe_script()
    context = chromium.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    for path in PAGES:
        page.goto(url + path)
        page.evaluate(
            "document.querySelectorAll('details').forEach(d => { d.removeAttribute('name'); d.open = true })"
        )
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            if width == 1600 or (width == 400 and scheme == "light"):
                page.evaluate(script)
                found = page.evaluate("axe.run()")
                told = [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]]
                assert not told, (path, width)
                assert len(found["passes"]) > 15
    context.close()


def test_the_schemes_differ(chromium: Browser, url: str) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(url)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert len(grounds) == 2


def test_the_browser_ranks_as_the_server_does(page: Page, site: Path) -> None:
    catalog, facts = make_project(views=100, services=5, groups=7)
    directory = Directory(catalog, facts, catalog.access)
    index = Index(directory.features)
    page.goto((site / "index.html").as_uri())
    page.evaluate(features_script(Site(directory, static=True)))
    queries = (
        "m", "me", "mean", "mean amount", "maen amount", "custmer", "customer paymetns 7d", "zzzz",
        "team01@example.com", "amoutn_nte fraud", "raw.payments", "group_03 dobule", "the of by",
        "customer_payments_000:mean_fee_7d", "how late is a weekend?", "__", "ÄMOUNT", "x" * 60,
        "a b c d e f g h mean", "_", "stddve distnace", "sharedistance", "24h",
    )  # fmt: skip
    found = page.evaluate(
        "(queries) => { const index = new forebayIndex(window.forebayFeatures);"
        " return queries.map((q) => index.search(q)); }",
        list(queries),
    )
    for query, theirs in zip(queries, found, strict=True):
        assert theirs == index.search(query), query
    assert sum(map(bool, found)) > 15
