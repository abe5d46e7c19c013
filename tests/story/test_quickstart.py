"""docs/quickstart.md, typed as it stands."""

from __future__ import annotations

import json

import duckdb
import pytest

from tests.story.pages import Command, read_page
from tests.story.reader import Reader

pytestmark = pytest.mark.slow


def lookup(reader: Reader) -> list[list[object]]:
    """What the page's curl answered: each asked column's values."""
    (answer,) = [out for text, out in reader.outputs.items() if text.startswith("curl")]
    return [result["values"] for result in json.loads(answer)["results"]]


def test_the_first_hour(reader: Reader) -> None:
    start = reader.folder
    reader.read("quickstart.md")
    assert reader.typed[0] == "pip install forebay"
    assert [2, 1] in lookup(reader)
    plan = reader.outputs["forebay plan"]
    assert "customer_tickets" in plan and "changed" in plan
    assert "forebay_now" not in (reader.folder / "dbt_project.yml").read_text()
    # Beside the project nothing was written.
    assert [p.name for p in start.iterdir()] == ["my_features"]
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    trained = connection.execute(
        f"""
        select count(*), count(card_activity__payments_30d), count(customer_profile__plan)
        from '{reader.folder}/train.parquet'
        """
    ).fetchall()
    ((rows, active, known),) = trained
    assert rows == known == 451 and 300 < active <= 451
    # Each as of its own instant: by the rows themselves.
    differing = connection.execute(
        f"""
        select count(*)
        from '{reader.folder}/train.parquet' t
        where coalesce(card_activity__payments_30d, 0) != (
            select count(*) from '{reader.folder}/data/payments.csv' p
            where p.customer_id = t.customer_id
                and p.paid_at > t.event_timestamp - interval '30' day
                and greatest(p.paid_at, p.loaded_at) <= t.event_timestamp
        )
        """
    ).fetchall()
    assert differing == [(0,)]


def test_the_page_has_the_whole_story() -> None:
    typed = [s.text.split()[1] for s in read_page("quickstart.md") if isinstance(s, Command)]
    for command in ("init", "ingest", "build", "train", "sync", "serve", "plan", "verify"):
        assert command in typed
