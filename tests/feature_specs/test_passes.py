"""Each pass by itself: pairs of SQL, which are run as well as compared."""

from __future__ import annotations

import inspect
import random
import sys
from pathlib import Path
from types import CodeType

import duckdb
import pytest

from feature_specs.compile.intervals import derive_intervals
from feature_specs.compile.intervals.form_intervals import PREPARING
from feature_specs.errors import ForebayError
from tests.feature_specs.oracle import connect, fill
from tests.feature_specs.passes import (
    ENGINES_OWN,
    LEAVES,
    MODELS,
    NO_TEXT,
    OPERATORS,
    Pair,
    Step,
    pairs,
    stages,
    written,
)
from tests.feature_specs.worlds import make_rows

pytestmark = pytest.mark.many_cases

PAIRS = list(pairs())
#: What these passes write gives the rows that the author's own text gives.
SAME_ROWS = (
    "parse_query", "write_out_windows", "keep_meaning", "plain_exists", "name_aggregates",
    "inline_models", "show_hidden_tables", "qualify_columns", "name_sources_apart", "resolve_clock",
    "push_ranks", "merge_queries", "drop_infinities", "drop_type_checks", "name_parts_apart",
    "lower_semi_joins", "rename_tables", "expand_stars", "unnest_laterals", "write_out_names",
    "order_windows", "lower_qualify",
)  # fmt: skip
#: What these write cannot be run by itself: divisions are still marked, or it is another engine's.
UNFINISHED = ("refuse_bare_decimals", "write_as_duckdb", *ENGINES_OWN)

#: Modules of intervals/ that hold what the operators work on, or put them in order.
NO_OPERATORS = {
    "__init__", "block", "derive_intervals", "form_intervals", "gather_aggregates",
    "interval_relation", "keep_certain_types", "strip_notes",
}  # fmt: skip


def database(seed: int) -> duckdb.DuckDBPyConnection:
    """The leaves' rows, in an order of the seed's own, and the model as a view."""
    opened = connect()
    for leaf in LEAVES:
        rows = make_rows(leaf, 1)
        random.Random(seed).shuffle(rows)
        fill(opened, leaf.name, leaf.columns, rows)
    for name, sql in MODELS.items():
        opened.execute(f"create view {name} as {sql}")
    opened.execute("set variable forebay_request_amount = 3.5")
    return opened


def rows(opened: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return sorted(map(repr, opened.execute(sql).fetchall()))


@pytest.mark.parametrize("pair", [p for p in PAIRS if not p.refused], ids=str)
def test_a_pass(pair: Pair) -> None:
    assert written(pair) == pair.after
    if pair.step in UNFINISHED:
        return
    found = rows(database(1), pair.after)
    assert found
    # An order that is total gives the same whatever order the rows are stored in.
    assert rows(database(2), pair.after) == found
    if pair.step in SAME_ROWS and "request(" not in pair.before:
        assert rows(database(1), pair.before) == found


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.refused], ids=str)
def test_a_pass_refuses(pair: Pair) -> None:
    with pytest.raises(ForebayError) as refused:
        written(pair)
    assert str(refused.value) == pair.after


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.__name__)
def test_an_operator_takes_part_in_its_pairs(operator: Step) -> None:
    for pair in PAIRS:
        if pair.step == operator.__name__:
            assert operator.__code__ in called(pair), pair.title


def called(pair: Pair) -> set[CodeType]:
    """The functions that run while the query is read."""
    found: set[CodeType] = set()
    sys.setprofile(lambda frame, event, arg: found.add(frame.f_code))
    try:
        written(pair)
    finally:
        sys.setprofile(None)
    return found


def test_every_operator_is_known() -> None:
    folder = Path(derive_intervals.__file__).parent
    steps: tuple[Step, ...] = (*OPERATORS, *PREPARING)
    known = {Path(inspect.getfile(step)).stem for step in steps}
    assert {path.stem for path in folder.glob("*.py")} == known | NO_OPERATORS


def test_every_pass_has_a_pair() -> None:
    wanted = {(stage, s.__name__) for stage, steps in stages().items() for s in steps}
    assert {(p.stage, p.step) for p in PAIRS} == {w for w in wanted if w[1] not in NO_TEXT}
