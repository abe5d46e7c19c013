"""Each pass by itself: tests/fixtures/passes holds pairs of SQL, which are run as well as compared."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from feature_specs.compile.compiler import PASSES
from feature_specs.compile.draft import Draft
from feature_specs.view import FeatureView
from tests.feature_specs.oracle import connect, fill
from tests.feature_specs.worlds import EVENTS, VERSIONS, make_rows

FOLDER = Path(__file__).parent.parent / "fixtures" / "passes"
LEAVES = (EVENTS, VERSIONS)
MODELS = {"stg": "select k, ts, x from events"}
#: What these passes write gives the rows that the author's own text gives.
SAME_ROWS = ("inline_models", "qualify_columns", "name_sources_apart", "resolve_clock")


def pairs() -> Iterator[tuple[str, str, str, str]]:
    """Pass, title, SQL before and SQL after."""
    for path in sorted(FOLDER.glob("*.sql")):
        for block in re.split(r"^-- ", path.read_text(), flags=re.MULTILINE)[1:]:
            title, rest = block.split("\n", 1)
            before, after, _ = (part.strip() for part in rest.split(";\n"))
            yield path.stem, title, before, after


PAIRS = list(pairs())


def written(name: str, sql: str) -> str:
    """What the pass of that name makes of a view."""
    draft = Draft(
        FeatureView("v", sql, ["k"], models=MODELS), "duckdb", {leaf.name: leaf for leaf in LEAVES}
    )
    for step in PASSES:
        draft = step(draft)
        if step.__name__ == name:
            return (draft.stored if name == "split_read_time" else draft.tree).sql("duckdb")
    raise AssertionError(f"there is no pass {name}")


def database(seed: int) -> duckdb.DuckDBPyConnection:
    """The leaves' rows, in an order of the seed's own, and the model as a view."""
    opened = connect()
    for leaf in LEAVES:
        rows = make_rows(leaf, 1)
        random.Random(seed).shuffle(rows)
        fill(opened, leaf.name, leaf.columns, rows)
    for name, sql in MODELS.items():
        opened.execute(f"create view {name} as {sql}")
    return opened


def rows(opened: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return sorted(map(repr, opened.execute(sql).fetchall()))


@pytest.mark.parametrize(("name", "title", "before", "after"), PAIRS, ids=lambda text: text[:40])
def test_a_pass(name: str, title: str, before: str, after: str) -> None:
    assert written(name, before) == after, title
    found = rows(database(1), after)
    assert found
    # An order that is total gives the same whatever order the rows are stored in.
    assert rows(database(2), after) == found
    if name in SAME_ROWS:
        assert rows(database(1), before) == found


def test_every_pair_names_a_pass() -> None:
    assert {name for name, *_ in PAIRS} <= {step.__name__ for step in PASSES}
    assert len(PAIRS) > 12
