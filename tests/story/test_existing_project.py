"""docs/existing-project.md, typed as it stands in a dbt project that was there before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from tests.story.reader import Reader

pytestmark = pytest.mark.slow

EXISTING = Path(__file__).parent / "existing"


@pytest.fixture
def shop(reader: Reader) -> Reader:
    """A reader in a project that dbt has built twice: customer 2 changed segment in between."""
    reader.folder = reader.folder / "shop"
    shutil.copytree(EXISTING, reader.folder)
    reader.run("dbt build")
    seed = reader.folder / "seeds" / "raw_customers.csv"
    text = seed.read_text()
    changed = text.replace("2,small,2024-01-05 00:00:00", "2,large,2024-03-08 00:00:00")
    assert changed != text
    seed.write_text(changed)
    reader.run("dbt build")
    return reader


def test_the_first_hour_in_a_project_that_was_there(shop: Reader) -> None:
    shop.read("existing-project.md")
    shown = shop.outputs["forebay init --here --dry-run"]
    removed = [x for x in shown.splitlines() if x.startswith("-") and not x.startswith("---")]
    assert removed == []
    for name in ("dbt_project.yml", "profiles.yml"):
        kept = (EXISTING / name).read_text().splitlines()
        now = (shop.folder / name).read_text().splitlines()
        assert [line for line in now if line in kept] == kept
    (answer,) = [out for text, out in shop.outputs.items() if text.startswith("curl")]
    assert ["large"] in [result["values"] for result in json.loads(answer)["results"]]
    assert "customer_segment" in shop.outputs["forebay plan"]
    columns = "customer_orders__orders_90d, customer_orders__amount_cents_90d, "
    rows = (
        duckdb.connect()
        .execute(
            f"select {columns} customer_segment__segment, customer_segment__discount_percent "
            f"from '{shop.folder}/train.parquet' order by event_timestamp"
        )
        .fetchall()
    )
    assert rows == [(1, 2500, "small", 0), (None, None, "large", 15)]
    assert shop.run("forebay init --here --yes").startswith("nothing to change")
