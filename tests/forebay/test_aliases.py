"""A feature that was renamed is read by both names, in every variant, and stored once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

import forebay
from feature_specs.catalog import load_catalog
from lakehouse.lake import load_table, open_lake
from serving.api import create_app
from tests.forebay.conftest import Shell
from tests.forebay.small import LAST, SPENDING, VIEWS, edit, lake_of, make_project

pytestmark = pytest.mark.slow

#: ``spent_60d`` is ``total_60d`` now, and ``twice``, which is computed at reading, ``double``.
RENAMED = {
    "models/views.yml": VIEWS.replace(
        "{entities: [customer]}",
        "{entities: [customer], aliases: "
        "{Spent_60d: {of: total_60d, deprecation_date: 2026-12-31}}}",
        1,
    )
    .replace("ttl: 7 days", "ttl: 7 days, aliases: {age: seconds}")
    .replace("spending.*,", "spending.spent_60d, spending.total_60d, last_payment.age,")
    .replace("[spending.payments_60d]", "[spending.*]"),
    "models/spending.sql": SPENDING.replace("spent_60d", "total_60d"),
    "models/last_payment.sql": LAST.replace(
        "amount * 2 as twice", "epoch(now() - paid_at) as seconds"
    ),
}
#: Payments of each customer are of days 1, 2, 3 and 8, of ten times the day; the clock is day 10.
TOTAL, AGE = 140, 2 * 24 * 3600.0


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(make_project(tmp_path / "shop", RENAMED), monkeypatch, capsys)


def run(shell: Shell, *words: str) -> str:
    assert shell.run(*words) == 0, shell.out + shell.err
    return shell.out + shell.err


def test_both_names(shell: Shell) -> None:
    root = shell.folder
    run(shell, "build")
    run(shell, "sync")
    # Stored once, and not in `.*`.
    stored = load_table(open_lake(lake_of(root)), "main.spending").schema().column_names
    assert [n for n in stored if "60d" in n and "fb_" not in n] == [
        "payments_60d",
        "total_60d",
        "most_60d",
    ]
    catalog = load_catalog(root / "target/forebay/catalog.json")
    assert [f for _, f in catalog.services["churn"].features] == [
        "payments_60d",
        "total_60d",
        "most_60d",
    ]
    offline(shell)
    online(shell)
    run(shell, "catalogue", "--out", "site")
    html = "".join(p.read_text() for p in (root / "site").rglob("*.html"))
    assert (
        "Also read as <code>Spent_60d</code>, <strong>deprecated</strong> from 2026-12-31" in html
    )


def offline(shell: Shell) -> None:
    spine = "select 'a' as customer, timestamptz '2024-01-10 00:00+00' as event_timestamp"
    told = run(shell, "train", "fraud", "--spine", spine, "--out", "set.parquet")
    assert "the name Spent_60d of feature spending.total_60d is deprecated as of 2026-12-31" in told
    (row,) = pq.read_table(shell.folder / "set.parquet").to_pylist()
    assert row["spending__Spent_60d"] == row["spending__total_60d"] == TOTAL
    assert row["last_payment__age"] == AGE
    given = {"customer": ["a"], "event_timestamp": [datetime(2024, 1, 10, tzinfo=UTC)]}
    with forebay.open(shell.folder) as project:
        names = ["spending:spent_60d", "last_payment:age", "last_payment:seconds"]
        (found,) = project.get_historical_features(given, names).to_arrow().to_pylist()
        assert list(found.values())[2:] == [TOTAL, AGE, AGE], found
        (vector,) = project.vectors(names, {"customer": ["a"]}).to_dicts()
        assert list(vector.values()) == [TOTAL, AGE, AGE]


def online(shell: Shell) -> None:
    catalog = load_catalog(shell.folder / "target/forebay/catalog.json")
    with TestClient(create_app(catalog)) as http:
        names = [
            "spending:spent_60d",
            "spending__SPENT_60D",
            "spending:total_60d",
            "last_payment:age",
        ]
        for asked in ({"features": names[::2] + names[3:]}, {"features": [names[1]]}):
            answer = http.post("/v1/vectors", json={**asked, "entities": {"customer": ["a", "z"]}})
            values = answer.json()["vectors"][0]
            # A sum of whole numbers has more digits than JSON's numbers, and is a text.
            total = str(TOTAL)
            assert values == ([total, total, AGE] if len(values) == 3 else [total])
            assert "deprecation" in answer.headers and "sunset" in answer.headers
        plain = {"features": ["spending:total_60d"], "entities": {"customer": ["a"]}}
        assert "deprecation" not in http.post("/v1/vectors", json=plain).headers
        by_service = {"feature_service": "fraud", "entities": {"customer": ["a"]}}
        feast = http.post("/get-online-features", json=by_service).json()
        named = dict(zip(feast["metadata"]["feature_names"], feast["results"], strict=True))
        assert named["Spent_60d"]["values"] == named["total_60d"]["values"] != [None]
        assert named["age"]["values"] == [AGE]
        (listed,) = [v for v in http.get("/features").json()["views"] if v["name"] == "spending"]
        assert listed["aliases"] == [
            {"name": "Spent_60d", "of": "total_60d", "deprecated": "2026-12-31"}
        ]


def test_taking_a_name_away_is_refused_while_a_service_reads_it(shell: Shell) -> None:
    run(shell, "compile")
    before = (shell.folder / "target/forebay/catalog.json").read_text()
    edit(
        shell.folder,
        "models/views.yml",
        "Spent_60d: {of: total_60d, deprecation_date: 2026-12-31}",
        "",
    )
    line = shell.refused("compile")
    assert "fraud" in line and "no feature 'spent_60d'" in line
    assert (shell.folder / "target/forebay/catalog.json").read_text() == before
    edit(shell.folder, "models/views.yml", "spending.spent_60d, ", "")
    run(shell, "compile")


def test_a_rename_is_no_other_meaning_to_a_service(shell: Shell) -> None:
    """The plan does not say that the service loses the feature: it goes on by its name."""
    for file, text in {
        "models/views.yml": VIEWS,
        "models/spending.sql": SPENDING,
        "models/last_payment.sql": LAST,
    }.items():
        (shell.folder / file).write_text(text)
    run(shell, "build")
    for file, text in RENAMED.items():
        (shell.folder / file).write_text(text)
    edit(
        shell.folder,
        "models/views.yml",
        "spending.spent_60d, spending.total_60d, last_payment.age",
        "spending.payments_60d, spending.spent_60d, spending.most_60d",
    )
    edit(shell.folder, "models/views.yml", "{Spent_60d:", "{spent_60d:")
    plan = {p["view"]: p for p in json.loads(run(shell, "plan", "--json"))["views"]}["spending"]
    assert plan["columns"] == ["+total_60d", "-spent_60d"]
    assert "fraud.spent_60d" not in plan["breaks"]
