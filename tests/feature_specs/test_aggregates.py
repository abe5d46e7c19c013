"""What the registry of aggregates says is what DuckDB does."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from sqlglot import exp

from feature_specs.compile.engines.map.map_aggregates import AGGREGATES
from feature_specs.compile.sql.aggregates import KNOWN, Aggregate
from feature_specs.compile.sql.duckdb_sql import duckdb_sql

pytestmark = pytest.mark.slow

X, Y, OK = exp.column("x"), exp.column("y"), exp.column("ok")
#: Calls of more, or of other, than one number.
CALLS: dict[type[exp.Expr], exp.Expr] = {
    exp.CountIf: exp.CountIf(this=OK),
    exp.LogicalOr: exp.LogicalOr(this=OK),
    exp.LogicalAnd: exp.LogicalAnd(this=OK),
    exp.PercentileCont: exp.PercentileCont(this=X, expression=exp.Literal.number("0.5")),
    exp.PercentileDisc: exp.PercentileDisc(this=X, expression=exp.Literal.number("0.5")),
    **{
        pair: pair(this=X, expression=Y)
        for pair in (exp.ArgMax, exp.ArgMin, exp.Corr, exp.CovarPop, exp.CovarSamp, exp.RegrCount)
    },
}
ROWS = "(values (1, 4, true), (2, 1, false), (2, 9, null), (null, 3, true), (7, 2, true)) as t(x, y, ok)"
TYPES = {"bigint": "BIGINT", "double": "DOUBLE", "argument": "INTEGER"}


def call(known: Aggregate) -> str:
    return duckdb_sql(CALLS.get(known.node, known.node(this=X)))


def rows(sql: str) -> list[tuple[Any, ...]]:
    return duckdb.connect().execute(sql).fetchall()


def value(sql: str) -> object:
    ((found,),) = rows(sql)
    return found


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: k.node.__name__)
def test_what_is_said_of_an_aggregate_holds(known: Aggregate) -> None:
    function = call(known)
    nothing = value(f"select {function} from {ROWS} where false")
    assert nothing == (0 if known.zero else None)
    if known.result in TYPES:
        kinds = {TYPES[known.result]}
        # DuckDB's count_if is a sum of whole numbers; that it is exact is what counts.
        kinds |= {"HUGEINT"} if known.node is exp.CountIf else set()
        assert value(f"select typeof({function}) from {ROWS}") in kinds
    if "duckdb" in known.framed:
        frame = "order by n rows between 2 preceding and current row"
        numbered = f"(select *, row_number() over () as n from {ROWS}) as numbered"
        framed = rows(f"select n, {function} over ({frame}) from {numbered}")
        for n, found in framed:
            assert found == value(
                f"select {function} from {numbered} where n between {n - 2} and {n}"
            )


@pytest.mark.parametrize("known", KNOWN, ids=lambda k: k.node.__name__)
def test_a_name_on_an_engine_is_used(known: Aggregate) -> None:
    if known.names:
        assert known.node in AGGREGATES and set(known.names) == {"trino", "spark"}


def test_no_aggregate_stands_twice() -> None:
    nodes = [known.node for known in KNOWN]
    assert len(nodes) == len(set(nodes))
