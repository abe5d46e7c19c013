"""docs/compiler.md shows what the passes make of its view, after each that changes the text."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

from feature_specs.compile.compiled_view import CompiledView
from feature_specs.compile.compiler import PASSES, compile_view
from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/compiler.md").read_text()
MODEL, VIEW, *AFTER, AS_OF = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
PAYMENTS = Leaf(
    "payments",
    {"customer_id": "BIGINT", "amount": "DECIMAL(10, 2)", "paid_at": "TIMESTAMPTZ"},
    event_time="paid_at",
)


def the_view() -> FeatureView:
    return FeatureView("recent", VIEW, ("customer_id",), models={"stg_payments": MODEL})


def compiled() -> CompiledView:
    return compile_view(the_view(), [PAYMENTS])


def one_line(sql: str) -> str:
    return re.sub(r"(?<=\() | (?=\))", "", " ".join(sql.split()))


def test_the_page_shows_each_pass_that_changes_the_text() -> None:
    draft, texts = Draft(the_view(), "duckdb", {"payments": PAYMENTS}), [""]
    for step in PASSES:
        draft = step(draft)
        text = duckdb_sql(draft.stored if draft.stored_names else draft.tree)
        if text != texts[-1]:
            assert f"`{step.__name__}`" in PAGE
            texts.append(text)
    assert [one_line(t) for t in AFTER] == [one_line(t) for t in texts[1:]]


def test_the_page_shows_when_rows_count() -> None:
    form = compiled().draft.form
    assert form is not None and form.simple
    week = timedelta(days=7) // timedelta(microseconds=1)
    assert f"`paid_at` + {week} us" in PAGE
    assert [call.window.width for call in form.aggregates] == [week, None]
    assert form.window.never_ends and not form.window.ends


def test_the_page_shows_the_lowerings_and_variants() -> None:
    view = compiled()
    assert view.choice.lowering == "cumulative + frames"
    assert one_line(AS_OF) in one_line(view.stored_now)
    (tree,) = (f.tree for f in view.features if f.tree is not None)
    assert json.dumps(tree) in PAGE


def test_the_page_names_every_folder_of_the_compiler() -> None:
    folders = {p.parent.name for p in (ROOT / "feature_specs/compile").glob("*/__init__.py")}
    assert folders == set(re.findall(r"^\| `(\w+)/`", PAGE, re.MULTILINE))
