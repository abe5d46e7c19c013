"""A first build of seeds beside models over the lake: nothing is compiled when dbt first runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import lake_of, make_project
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

FILES = {
    "seeds/tiers.csv": "customer,tier\na,gold\n",
    "seeds/seeds.yml": "seeds:\n  - name: tiers\n    config: {meta: {role: static}}\n",
    # Of dbt's own, over a source in Iceberg, and read by no view.
    "models/totals.sql": (
        "{{ config(materialized='table') }}\n"
        "select customer, sum(amount) as total from {{ source('raw', 'payments') }} group by 1\n"
    ),
    "models/tiered.sql": (
        "{{ config(materialized='feature_view', meta={'feature_view': {'entities': ['customer']}}) }}\n"
        "select p.customer, count(*) as n, max(t.tier) as tier from {{ source('raw', 'payments') }} p "
        "join {{ ref('tiers') }} t on t.customer = p.customer group by p.customer\n"
    ),
}


UNLOADED = {
    "models/more.yml": "sources:\n  - name: late\n    schema: raw\n    tables:\n      - name: visits\n"
    "        config: {event_time: at}\n        columns: [{name: customer, data_tests: [not_null]}]\n",
    "models/visiting.sql": (
        "{{ config(materialized='feature_view', meta={'feature_view': {'entities': ['customer']}}) }}\n"
        "select customer, count(*) as n from {{ source('late', 'visits') }} group by customer\n"
    ),
}


def test_a_source_that_was_never_loaded_is_named_beside_its_failed_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(make_project(tmp_path / "shop", UNLOADED), monkeypatch, capsys)
    assert shell.run("build") == 2
    assert "source late.visits has no Iceberg table 'raw.visits'" in shell.err


def test_a_model_over_the_lake_is_built_beside_a_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "shop", FILES)
    assert Shell(root, monkeypatch, capsys).run("build") == 0
    lake = open_lake(lake_of(root))
    rows = read_arrow(load_table(lake, "main.tiered")).sort_by("customer").to_pylist()
    assert [(r["customer"], r["n"], r["tier"]) for r in rows] == [("a", 4, "gold")]
