"""Fixture pairs: what a pass is given and what it makes, in tests/fixtures/passes/STAGE/PASS.sql.

A block is ``-- title``, perhaps with ``[dialect]``, the query before, and the query after. One whose
title begins with ``refused:`` has the error in place of the query after. Of ``engines`` the dialect is
the engine's, and of an operator of the interval form the query after is the form's rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from sqlglot import exp

from feature_specs.compile.compiler import PASSES
from feature_specs.compile.draft import Draft
from feature_specs.compile.engines import REWRITES
from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.rewrite.drop_infinities import drop_infinities
from feature_specs.compile.engines.rewrite.refuse_repetition import refuse_repetition
from feature_specs.compile.engines.rewrite.split_steps import split_steps
from feature_specs.compile.intervals.clip_calendar import clip_calendar
from feature_specs.compile.intervals.clip_clock import clip_clock
from feature_specs.compile.intervals.form_intervals import PREPARING
from feature_specs.compile.intervals.join_rows import (
    asof_join,
    correlated_aggregate,
    outer_join,
    semi_join,
)
from feature_specs.compile.intervals.leaf_lifetimes import derive_changelog, derive_pieces
from feature_specs.compile.intervals.match_rows import islands_sql
from feature_specs.compile.intervals.rank_rows import rank_rows
from feature_specs.compile.intervals.read_from import read_from
from feature_specs.compile.intervals.read_subqueries import read_subqueries
from feature_specs.compile.intervals.split_clock import split_clock
from feature_specs.compile.intervals.step_groups import step_groups
from feature_specs.compile.lowerings.interval_rows import interval_rows
from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.parse.expand_requests import drop_braces
from feature_specs.compile.parse.parse_query import PARSING
from feature_specs.compile.parse.read_duckdb import read_duckdb
from feature_specs.compile.parse.read_statement import read_statement
from feature_specs.compile.parse.write_as_duckdb import write_as_duckdb
from feature_specs.errors import ForebayError
from feature_specs.view import FeatureView
from tests.feature_specs.worlds import CHANGES, EVENTS, TRIPS, VERSIONS

FOLDER = Path(__file__).parents[1] / "fixtures" / "passes"
LEAVES = (EVENTS, VERSIONS, TRIPS, CHANGES)
MODELS = {"stg": "select k, ts, x from events"}
#: These note something on a tree whose text stays, or make something else of it.
NO_TEXT = {"spell_columns", "note_file", "form_intervals", "annotate_columns"}

Step = Callable[..., object]
#: What takes part in making the interval form, in the order of intervals/.
OPERATORS: tuple[Step, ...] = (
    asof_join, clip_calendar, clip_clock, correlated_aggregate, derive_changelog, derive_pieces,
    islands_sql, outer_join, rank_rows, read_from, read_subqueries, semi_join, split_clock,
    step_groups,
)  # fmt: skip
#: What these write is the engine's, and DuckDB does not run it.
ENGINES_OWN = (
    "search_markers", "lower_asof_joins", "map_calls", "parenthesise_operands", "drop_materialized",
    "exclude_by_table_function", "refuse_repetition", "split_steps",
)  # fmt: skip
#: What comes after all rewrites: one statement that is not too large, or several.
FINISHING: tuple[Step, ...] = (refuse_repetition, split_steps)


@dataclass(frozen=True)
class Pair:
    """One block of a fixture file."""

    stage: str
    step: str
    title: str
    dialect: str
    before: str
    after: str

    @property
    def refused(self) -> bool:
        return self.title.startswith("refused:")

    def __str__(self) -> str:
        return f"{self.step}: {self.title}"


def stages() -> dict[str, tuple[Step, ...]]:
    """The ordered steps whose fixtures stand in each folder."""
    return {
        "parse": (PASSES[0], *PARSING),
        "normalize": PASSES[1:],
        "intervals": (*PREPARING, *OPERATORS),
        "engines": (*(s for s in REWRITES if s is not EngineStatement.trace_again), *FINISHING),
    }


def show(step: Step, sql: str, dialect: str = "duckdb") -> None:
    """Print what a step makes of a query, or its refusal: the examples of docstrings call it.

    Args:
        dialect: what the query is written in; of an engine's rewrite, the engine.
    """
    name = step.__name__
    (stage,) = (stage for stage, steps in stages().items() if name in {s.__name__ for s in steps})
    try:
        text = written(Pair(stage, name, "", dialect, sql, ""))
    except ForebayError as refused:
        text = str(refused)
    print(fill(text, 88, break_long_words=False, break_on_hyphens=False))


def pairs() -> Iterator[Pair]:
    """All blocks of all files."""
    for path in sorted(FOLDER.glob("*/*.sql")):
        for block in re.split(r"^-- ", path.read_text(), flags=re.MULTILINE)[1:]:
            title, rest = block.split("\n", 1)
            dialect = re.search(r" \[(\w+)\]$", title)
            before, after = (part.strip() for part in rest.split(";\n\n", 1))
            yield Pair(
                path.parent.name,
                path.stem,
                title,
                dialect[1] if dialect else "duckdb",
                before,
                after.removesuffix(";"),
            )


def written(pair: Pair) -> str:
    """What the step makes of the query before."""
    if pair.stage == "parse" and pair.step != "parse_query":
        return _parsed(pair)
    if pair.stage == "engines":
        return _rewritten(pair)
    timed = "ts" if pair.step == "note_visibility" else None
    view = FeatureView("v", pair.before, ["k"], event_time=timed, file="v.sql", models=MODELS)
    draft = Draft(view, pair.dialect, {leaf.name: leaf for leaf in LEAVES})
    for step in PASSES:
        draft = step(draft)
        if step.__name__ == pair.step:
            noted = pair.step in ("split_read_time", "keep_arrays_as_lists", "note_visibility")
            return (draft.stored if noted else draft.tree).sql("duckdb")
    if any(o.__name__ == pair.step for o in OPERATORS):
        return _interval_rows(draft)
    query = draft.stored
    for prepare in PREPARING:
        query = prepare(query)
        if prepare.__name__ == pair.step:
            return query.sql("duckdb")
    raise AssertionError(f"there is no pass {pair.step}")


def _parsed(pair: Pair) -> str:
    text = AuthorText(drop_braces(pair.before, "v.sql"), pair.dialect, "v.sql")
    query: exp.Query = read_statement(text)
    dialect = pair.dialect
    for step in PARSING:
        query = step(query, text)
        dialect = "duckdb" if step is write_as_duckdb else dialect
        if step.__name__ == pair.step:
            return query.sql(dialect)
    raise AssertionError(f"parsing has no step {pair.step}")


def _interval_rows(draft: Draft) -> str:
    if draft.form is None:
        raise AssertionError(draft.why_no_form)
    rows = EngineStatement(read_duckdb(interval_rows(draft, draft.form).sql), "duckdb")
    drop_infinities(rows)  # which say nothing of the operator, and are half of the text
    return rows.tree.sql("duckdb", pretty=True)


def _rewritten(pair: Pair) -> str:
    schema = {leaf.name: leaf.columns for leaf in LEAVES}
    statement = EngineStatement(read_duckdb(pair.before), pair.dialect, schema)
    for step in REWRITES:
        step(statement)
        if step.__name__ == pair.step:
            own = pair.dialect if pair.step in ENGINES_OWN else "duckdb"
            return statement.tree.sql(own)
    if pair.step == refuse_repetition.__name__:
        refuse_repetition(statement)
        return statement.tree.sql(pair.dialect)
    if pair.step == split_steps.__name__:
        made = split_steps(statement, "run_")
        return ";\n".join((*made.create, made.query, *made.drop))
    raise AssertionError(f"there is no rewrite {pair.step}")
