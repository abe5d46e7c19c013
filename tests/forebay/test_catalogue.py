"""The catalogue of a real project: what compile tells it, and that every snippet on its pages runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from feature_specs.catalogue_facts import FACTS, Reach, load_facts
from feature_specs.feature_shapes import SHAPES, load_shapes
from tests.forebay.small import VIEWS, make_project, run_here
from tests.servers.process import free_port, start, stop

PAYMENTS = '"shop"."raw"."payments"'
TAGGED = VIEWS.replace(
    "meta: {feature_view: {entities: [customer]}}",
    "meta: {feature_view: {entities: [customer], owner: risk@x.org, freshness: 1 day}}\n"
    "      tags: [spend]\n"
    "    columns: [{name: most_60d, config: {tags: [gold]}, description: The most.}]",
    1,
)
LABELS = (
    "select 'a' as customer, timestamptz '2024-01-09 00:00:00Z' as event_timestamp, 1 as label\n"
)


class Snippets(HTMLParser):
    """The text of each snippet of a page, by its name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._in, self._reads = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = str(dict(attrs).get("id") or "")
        if tag == "details":
            self._in = name.removeprefix("snippet-") if name.startswith("snippet-") else ""
        self._reads = tag == "code" or (self._reads and tag == "span")

    def handle_endtag(self, tag: str) -> None:
        self._reads = self._reads and tag != "code"
        if tag == "details":
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._reads and self._in:
            self.found[self._in] = self.found.get(self._in, "") + data


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(
        tmp_path_factory.mktemp("catalogue") / "shop",
        {"models/views.yml": TAGGED, "models/labels.sql": LABELS},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for words in (["build"], ["sync"]):
            run_here(*words)
    return root


@pytest.fixture(scope="module")
def url(shop: Path) -> Iterator[str]:
    port = free_port()
    process = start([sys.executable, "-m", "forebay", "serve", "--port", str(port)], shop)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health").close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.1)
        yield url
    finally:
        stop(process)


@pytest.mark.slow
def test_compile_tells_what_pages_need(shop: Path) -> None:
    facts = load_facts(shop / "target" / "forebay" / FACTS)
    view = facts.views["spending"]
    assert view.sql.startswith("select customer, count(*)") and view.tags == ("spend",)
    assert [leaf for leaf, _ in view.bounds] == [PAYMENTS]
    assert view.features["most_60d"].tags == ("gold",)
    assert view.features["most_60d"].sources == (Reach(PAYMENTS, "amount", ("AGGREGATION",)),)
    assert view.features["payments_60d"].sources == ()
    assert {r.column for r in view.rows} == {"customer", "paid_at"}
    assert facts.services["fraud"].owner == "Risk"
    shape = load_shapes(shop / "target" / "forebay" / SHAPES)["spending:most_60d"]
    assert (shape.rows, shape.nulls, shape.meaning) == (2, 0, view.definition_hash)


@pytest.mark.slow
def test_every_snippet_runs_as_it_is_pasted(shop: Path, url: str) -> None:
    wanted = {
        "/feature/spending/most_60d": {
            "train-python", "train-cli", "preview", "lookup-curl", "lookup-client", "sql", "dbt",
        },
        "/service/fraud": {"train-python", "train-cli", "lookup-curl", "lookup-client", "dbt"},
    }  # fmt: skip
    for path, names in wanted.items():
        with urllib.request.urlopen(url + path) as answer:
            snippets = Snippets(answer.read().decode()).found
        assert set(snippets) == names
        for name, text in snippets.items():
            if path == "/service/fraud" and name == "dbt":
                check_model(shop, text)
            if path == "/service/fraud" and name not in ("train-python", "lookup-curl"):
                continue  # made by what makes the feature's
            said = run(shop, name, text)
            # The value itself: 80 is the most that customer a has paid.
            assert "80" in said or path == "/service/fraud", (name, said)


def run(shop: Path, name: str, text: str) -> str:
    """What a snippet prints."""
    if name.endswith(("-python", "-client")):
        command = [sys.executable, "-c", text]
    elif name == "sql":
        command = ["dbt", "show", "--profiles-dir", "profiles", "--inline", text]
    else:
        command = ["bash", "-c", text]
    env = {**os.environ, "DBT_PROFILES_DIR": "profiles"}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(command, cwd=shop, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (name, text, done.stdout, done.stderr)
    if name == "train-cli":
        query = "import duckdb; print(duckdb.sql(\"from 'train.parquet'\").fetchall())"
        return run(shop, "-python", query)
    return done.stdout


def check_model(shop: Path, text: str) -> None:
    """The body of a training set, as a model of the project."""
    model = shop / "models" / "fraud_set.sql"
    model.write_text(text)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(shop)
            run_here("compile", "--dry-run", "--json")
    finally:
        model.unlink()


@pytest.mark.slow
def test_the_command_writes_a_site(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop)
    capsys.readouterr()
    out = tmp_path / "site"
    run_here("catalogue", "--out", str(out), "--url", "https://features.example.com", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["features"] == 5 and said["pages"] == len(list(out.rglob("*.html"))) + 1
    page = (out / "feature" / "spending" / "most_60d.html").read_text()
    assert "https://features.example.com/v1/vectors" in page
    run_here("catalogue", "--out", str(shop / "models"), code=2)
    assert "no earlier export" in capsys.readouterr().err
