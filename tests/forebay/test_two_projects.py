"""Two dbt projects on one lake and one online store: what one builds the other reads, by names that
cannot be taken for each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import load_catalog
from lakehouse.lake import load_table, open_lake
from serving.api import create_app
from tests.forebay.conftest import Shell
from tests.forebay.small import PROFILES, PROJECT, VIEWS, edit, lake_of, make_project

pytestmark = pytest.mark.slow

SHARED = VIEWS.partition("exposures:")[0].replace(
    "      materialized: feature_view\n", "      materialized: feature_view\n      access: public\n"
)
SERVICES = """\
exposures:
  - name: credit
    type: ml
    owner: {name: Lending}
    depends_on: ["ref('shop', 'spending')", ref('loans')]
    config: {meta: {feature_service: {features: [spending.*, loans.paid]}}}
models:
  - name: loans
    config:
      materialized: feature_view
      meta: {feature_view: {entities: [customer]}}
"""
LOANS = "select customer, max(amount) as paid from {{ ref('shop', 'stg_payments') }} group by 1\n"
SPINE = "select 'a' as customer, timestamptz '2024-01-10 00:00+00' as event_timestamp"
#: Payments of each customer are of days 1, 2, 3 and 8, of ten times the day; the clock is day 10.
VALUES = {"payments_60d": 4, "spent_60d": 140, "most_60d": 80}


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    root = make_project(tmp_path / "shop", {"models/views.yml": SHARED})
    return Shell(root, monkeypatch, capsys)


def run(shell: Shell, *words: str) -> str:
    assert shell.run(*words) == 0, shell.out + shell.err
    return shell.out + shell.err


def another(shop: Shell, files: dict[str, str], name: str = "lending") -> Shell:
    """A project over the shop's lake and online store."""
    root = shop.folder.parent / name
    profile = (
        PROFILES.replace("sqlite:///lake/", f"sqlite:///{shop.folder}/lake/")
        .replace("warehouse: lake", f"warehouse: {shop.folder}/lake")
        .replace("lmdb://", f"lmdb://{shop.folder}/")
    )
    library = (shop.folder / "macros/forebay.sql").read_text()
    whole = {
        "profiles/profiles.yml": profile,
        "dbt_project.yml": PROJECT.replace("name: shop", f"name: {name}"),
        "macros/forebay.sql": library,
        **files,
    }
    for file, text in whole.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return Shell(root, shop.patch, shop.capture)


def lending(shop: Shell, **more: str) -> Shell:
    """A project that has the shop's as a dbt package."""
    made = another(
        shop,
        {
            "packages.yml": "packages:\n  - local: ../shop\n",
            "models/services.yml": SERVICES,
            "models/loans.sql": LOANS,
            **more,
        },
    )
    dbt = [str(Path(sys.executable).parent / "dbt"), "deps", "--profiles-dir", "profiles"]
    subprocess.run(dbt, cwd=made.folder, check=True, capture_output=True, env={**os.environ})
    return made


def test_a_view_of_one_project_in_a_service_of_the_other(shop: Shell) -> None:
    run(shop, "build")
    run(shop, "sync")
    lake = open_lake(lake_of(shop.folder))
    built = load_table(lake, "main.spending").metadata_location
    team = lending(shop)
    assert "as project shop has built it" in run(team, "build")
    assert load_table(lake, "main.spending").metadata_location == built
    run(team, "sync")
    run(team, "train", "credit", "--spine", SPINE, "--out", "set.parquet")
    (row,) = pq.read_table(team.folder / "set.parquet").to_pylist()
    assert {n: row[f"spending__{n}"] for n in VALUES} == VALUES and row["loans__paid"] == 80
    catalog = load_catalog(team.folder / "target/forebay/catalog.json")
    with TestClient(create_app(catalog)) as http:
        asked = {"service": "credit", "entities": {"customer": ["a", "b"]}}
        answer = http.post("/v1/services/credit/vectors", json={"entities": asked["entities"]})
        assert answer.status_code == 200, answer.text
        assert [[float(v) for v in row] for row in answer.json()["vectors"]] == [
            [4, 140, 80, 80]
        ] * 2
    run(team, "verify")
    # The owner goes on: both projects' servers answer from the same rows.
    run(shop, "sync")
    run(shop, "verify")
    # A definition that the owner has not built is not built here over it.
    edit(shop.folder, "models/spending.sql", "'60' day", "'5' day")
    line = shop_line(team)
    assert "project 'shop' has built its feature view 'spending' from another definition" in line
    assert load_table(lake, "main.spending").metadata_location == built
    run(shop, "build")
    run(team, "build")


def shop_line(team: Shell) -> str:
    assert team.run("build") == 2
    return team.out + team.err


def test_one_name_in_two_packages_is_refused(shop: Shell) -> None:
    run(shop, "build")
    more = {
        "models/spending.sql": "select customer, amount from {{ ref('shop', 'stg_payments') }}\n"
    }
    team = lending(shop, **more)
    edit(
        team.folder,
        "models/services.yml",
        "  - name: loans\n",
        "  - name: spending\n    config:\n      materialized: feature_view\n"
        "      schema: lending\n      meta: {feature_view: {entities: [customer]}}\n  - name: loans\n",
    )
    line = team.refused("compile")
    assert "two feature views are named 'spending'" in line
    assert "'lending'" in line and "'shop'" in line


def test_tables_and_online_rows_of_an_unrelated_project_are_left_alone(shop: Shell) -> None:
    run(shop, "build")
    run(shop, "sync")
    lake = open_lake(lake_of(shop.folder))
    built = load_table(lake, "main.spending").metadata_location
    files = {
        name: (shop.folder / name).read_text().replace("'60' day", "'9' day")
        for name in ("models/sources.yml", "models/stg_payments.sql", "models/spending.sql")
    }
    files["models/views.yml"] = SHARED.partition("  - name: last_payment")[0]
    other = another(shop, files, "rival")
    assert other.run("build") == 2
    assert "holds feature view 'spending' of project 'shop'" in other.out + other.err
    assert load_table(lake, "main.spending").metadata_location == built
    # Under a schema of its own it is built, and its rows would be taken for the shop's online.
    edit(other.folder, "models/views.yml", "      access: public\n", "      schema: rival\n")
    run(other, "build")
    assert other.run("sync") == 2
    assert "rows of another feature view 'spending', of project 'shop'" in other.err
    run(shop, "verify")
