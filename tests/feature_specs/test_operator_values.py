"""Operators have the values that DuckDB gives to the author's own text, in every dialect's output."""

from __future__ import annotations

import random
import re

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from feature_specs.compile.engines import Engine, write_for_engine
from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.rewrite.parenthesise_operands import parenthesise_operands
from feature_specs.compile.parse.parse_query import parse_text
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.errors import CompileError
from tests.feature_specs.operator_trees import TYPED_TABLE, draw_value

pytestmark = pytest.mark.slow

SCHEMA = {
    "t": {"id": "INTEGER", "a": "INTEGER", "e": "INTEGER", "s": "VARCHAR", "bo": "BOOLEAN", "bb": "BOOLEAN"}
}  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    made.execute(TYPED_TABLE)
    made.execute("alter table t alter j type json")
    return made


def _values(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str] | None:
    """The rows, or None where DuckDB refuses the text or fails."""
    try:
        return [repr(row) for row in connection.execute(f"{sql} order by id").fetchall()]
    except duckdb.Error:
        return None


def test_drawn_operators_keep_their_values(connection: duckdb.DuckDBPyConnection) -> None:
    rng, compared, told = random.Random(11), 0, set()
    while compared < 300:
        text = draw_value(rng, rng.choice("isbb"), rng.randint(1, 3), duckdb_only=True)
        sql = f"select {text} as v, id from t"
        expected = _values(connection, sql)
        if expected is None or text in told:
            continue
        told.add(text)
        try:
            written = duckdb_sql(parse_text(sql, "duckdb", "f.sql"))
        except CompileError:
            continue
        assert _values(connection, written) == expected, f"{text} is written as {written}"
        compared += 1


@pytest.mark.parametrize("engine", ["trino", "spark"])
def test_drawn_operators_keep_their_values_on_other_engines(
    engine: Engine, connection: duckdb.DuckDBPyConnection
) -> None:
    """What is written for an engine, read back with its parentheses, has the same values."""
    rng, compared = random.Random(f"5 {engine}"), 0
    while compared < 150:
        text = draw_value(rng, rng.choice("isbb"), rng.randint(1, 3), duckdb_only=False)
        sql = f"select {text} as v, id from t"
        expected = _values(connection, sql)
        if expected is None:
            continue
        ours = duckdb_sql(parse_text(sql, "duckdb", "f.sql"))
        written = write_for_engine(ours, engine, schema=SCHEMA)
        read = sqlglot.parse_one(written, dialect=engine).sql("duckdb")
        assert _values(connection, read) == expected, f"{text} is written as {written}"
        compared += 1


@pytest.mark.parametrize("engine", ["trino", "spark"])
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bo = not bb", "= (NOT"),
        ("bo is null = bb", "(bo IS NULL)"),
        ("a = e is null", "(a = e) IS NULL"),
        ("(bo or bb) and bo", "(bo OR bb) AND bo"),
        ("a * (e + 1)", "a * (e + 1)"),
        ("a - (e - 1)", "a - (e - 1)"),
        ("a between 1 and 2 = bo", "BETWEEN 1 AND 2) = "),
        ("bo is not distinct from a = e", "(a = e)"),
    ],
)
def test_parentheses_stand_where_grammars_differ(engine: Engine, text: str, part: str) -> None:
    sql = duckdb_sql(parse_text(f"select {text} as v from t", "duckdb", "f.sql"))
    written = " ".join(re.sub(r'["`]', "", write_for_engine(sql, engine, schema=SCHEMA)).split())
    assert part in written.replace("( ", "(").replace(" )", ")"), written


@pytest.mark.parametrize("quantifier", ["any", "all"])
@pytest.mark.parametrize("operator", ["=", "<>", "<", "<=", ">", ">="])
def test_a_list_is_compared_as_by_duckdb(operator: str, quantifier: str) -> None:
    """Empty lists, null lists, nulls in lists and null values too."""
    opened = duckdb.connect(config={"threads": 1})
    opened.execute(
        "create table q as select row_number() over () as id, x, l from "
        "(values (0), (1), (2), (3), (null)) as x(x), (values ([1, 2]), ([2]), ([2, 2]), ([]), (null), "
        "([null]), ([1, null]), ([2, null, 3])) as l(l)"
    )
    for values in ("l", "list_transform(l, lambda v: v + 1)"):
        sql = f"select x {operator} {quantifier}({values}) as v, id from q"
        written = duckdb_sql(parse_text(sql, "duckdb", "f.sql"))
        assert quantifier not in written.lower().split()
        assert _values(opened, written) == _values(opened, sql) is not None


A, B, C = (exp.column(name) for name in "abc")


@pytest.mark.parametrize(
    ("tree", "written"),
    [
        (exp.Mul(this=exp.Add(this=A, expression=B), expression=C), "(a + b) * c"),
        (exp.Sub(this=A, expression=exp.Sub(this=B, expression=C)), "a - (b - c)"),
        (exp.Sub(this=exp.Sub(this=A, expression=B), expression=C), "a - b - c"),
        (exp.Not(this=exp.Or(this=A, expression=B)), "NOT (a OR b)"),
        (exp.Neg(this=exp.Add(this=A, expression=B)), "-(a + b)"),
        (exp.EQ(this=A, expression=exp.Not(this=B)), "a = (NOT b)"),
        (exp.And(this=exp.Or(this=A, expression=B), expression=C), "(a OR b) AND c"),
        (exp.DPipe(this=A, expression=exp.Add(this=B, expression=C)), "a || (b + c)"),
        (exp.Is(this=exp.EQ(this=A, expression=B), expression=exp.Null()), "(a = b) IS NULL"),
        (exp.Between(this=A, low=exp.LT(this=B, expression=C), high=C), "a BETWEEN (b < c) AND c"),
    ],
)
def test_a_tree_is_written_as_it_groups(tree: exp.Expr, written: str) -> None:
    select = exp.select(tree.copy())
    parenthesise_operands(EngineStatement(select, "trino"))
    assert select.sql("trino") == f"SELECT {written}"
