"""docs/authoring.md says what is so: what it calls right compiles, what it calls refused is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from feature_specs.compile import compile_view
from feature_specs.errors import CompileError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from feature_specs.view_options import read_options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "authoring.md").read_text()
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)


def plain(sql: str) -> str:
    """The SQL with the names of what it reads, and request() as macros/forebay.sql writes it."""
    sql = re.sub(r"\{\{ source\('nyc', '(\w+)'\) \}\}", r"\1", sql)
    sql = re.sub(r"\{\{ ref\('(\w+)'\) \}\}", r"\1", sql)
    request = r"\{\{ request\('(\w+)', '(\w+)'\) \}\}"
    return re.sub(request, r"cast(getvariable('forebay_request_\1') as \2)", sql)


def leaves() -> list[Leaf]:
    raw = yaml.safe_load((ROOT / "models" / "sources.yml").read_text())
    return [leaf(table) for table in raw["sources"][0]["tables"]]


def leaf(table: Mapping[str, Any]) -> Leaf:
    config = table["config"]
    meta = config.get("meta", {})
    return Leaf(
        table["name"],
        {column["name"]: column["data_type"] for column in table["columns"]},
        event_time=config.get("event_time"),
        loaded_at=config.get("loaded_at_field"),
        static=meta.get("time") == "static",
        known_later=meta.get("known_later", {}),
    )


def said(block: str, what: str) -> list[str]:
    found = re.search(rf"^-- {what}: (.*)$", block, flags=re.MULTILINE)
    return found[1].split(", ") if found else []


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_sql_compiles_or_is_refused_as_it_says(block: str) -> None:
    view = FeatureView(
        "example",
        plain(block),
        said(block, "entities"),
        event_time=next(iter(said(block, "event_time")), None),
        tie_break=said(block, "tie_break"),
        models={p.stem: plain(p.read_text()) for p in (ROOT / "models/staging").glob("*.sql")},
    )
    refused = said(block, "refused")
    if refused:
        with pytest.raises(CompileError, match=re.escape(refused[0])):
            compile_view(view, leaves())
    else:
        assert compile_view(view, leaves()).certificate is not None


def test_the_page_shows_both_wrong_and_right() -> None:
    assert len(BLOCKS) == 14
    assert sum(bool(said(block, "refused")) for block in BLOCKS) == 4


def test_the_yaml_is_what_forebay_reads() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert block is not None
    (model,) = yaml.safe_load(block[1])["models"]
    options = read_options(model["config"]["meta"]["feature_view"], "docs/authoring.md")
    assert options.entities == ("tailnum",)
    assert options.ttl is not None and options.ttl.days == 7
