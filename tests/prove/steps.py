"""Hold the incremental variant to the oracle: after every step the state equals F(D, T)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from feature_specs import CompiledView
from feature_specs.compile import Incremental
from tests.feature_specs.oracle import Oracle
from tests.prove.batches import Step, draw_steps
from tests.prove.case import Case
from tests.prove.disagreement import DisagreementError
from tests.prove.engines import Engines, fill
from tests.prove.equal import Tolerance, differences

INCREMENTAL = "incremental"


def check_incremental(case: Case, compiled: CompiledView, engines: Engines) -> None:
    """Write the case's rows in batches, step by step; now and then step twice over one batch.

    Raises:
        DisagreementError: the state is not F(D, T), or a repeated step changed it.
    """
    statements = compiled.incremental()
    oracle = Oracle(case.view, case.leaves, case.whole_sql, engines.brute, visible=case.visible)
    if case.asks:
        engines.variants.execute("set variable forebay_request_amount = null::double")
    for number, step in enumerate(draw_steps(case)):
        for leaf in case.leaves:
            fill(engines.variants, leaf.name, leaf.columns, step.tables[leaf.name])
            fill(engines.brute, f"raw_{leaf.name}", leaf.columns, step.tables[leaf.name])
        run(engines.variants, statements.step if number else statements.create, step)
        _hold(case, statements, engines, oracle, step, f"step {number}")
        if number == 2:
            run(engines.variants, statements.step, step)
            _hold(case, statements, engines, oracle, step, f"step {number} again")
    for table in statements.tables:
        engines.variants.execute(f"drop table {table}")


def run(connection: duckdb.DuckDBPyConnection, statements: Sequence[str], step: Step) -> None:
    """Run statements in order, each with the parameter that it names."""
    try:
        for sql in statements:
            connection.execute(sql, {"as_of": step.at} if "$as_of" in sql else None)
    except duckdb.Error:
        connection.rollback()
        raise


def _hold(
    case: Case,
    statements: Incremental,
    engines: Engines,
    oracle: Oracle,
    step: Step,
    what: str,
) -> None:
    result = engines.variants.execute(statements.read)
    names = [d[0] for d in result.description or []]
    found = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    actual = {tuple(row[e] for e in case.view.entities): row for row in found}
    expected = oracle.at(step.at, requests={"amount": None} if case.asks else {})
    detail: dict[str, Any] = {"at": step.at, "step": what}
    sql = "; ".join(statements.step)
    if len(actual) != len(found) or actual.keys() != expected.keys():
        detail |= {"actual": sorted(map(str, actual)), "expected": sorted(map(str, expected))}
        raise DisagreementError(INCREMENTAL, "keys", sql, detail)
    tolerance = Tolerance.of(case)
    for key, features in expected.items():
        given = {n: v for n, v in actual[key].items() if n in features}
        wrong = differences(given, features, tolerance)
        if wrong:
            detail |= {"key": key, "actual, expected": wrong}
            raise DisagreementError(INCREMENTAL, "values", sql, detail)
