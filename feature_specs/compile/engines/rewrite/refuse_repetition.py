"""Refuse a single statement that an engine would blow up.

Trino and Spark put a common table expression in the place of each of its readers, and theirs in the
place of each of theirs: ten levels read thrice are 59,049 copies. Trino refuses more than 150 stages,
and a statement far beyond that takes the coordinator's memory with it.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.errors import CompileError

#: Operators after the replacement; an operator is up to three quarters of a stage of Trino.
LIMITS = {"trino": 200, "spark": 1500}


def refuse_repetition(statement: EngineStatement) -> None:
    """Raises CompileError where the statement is too large once every reader has its copy.

    >>> show(refuse_repetition, "with a as (select k from events) select k from a", "trino")
    WITH a AS (SELECT k FROM events) SELECT k FROM a
    """
    engine, size = statement.engine, _size(statement.tree, {})
    if size > LIMITS[engine]:
        raise CompileError(
            f"as one statement this is {size} operators on {engine}, which computes a common table "
            f"expression again for each reader; {LIMITS[engine]} is the most",
            where=f"engine {engine}",
            hint=f"run it in steps, as `forebay train --engine {engine}` does: they make tables of "
            "what is read twice",
        )


def fits_one_statement(statement: EngineStatement) -> bool:
    """Whether the engine takes it whole."""
    return _size(statement.tree, {}) <= LIMITS[statement.engine]


def _size(query: exp.Expr, outer: dict[str, int]) -> int:
    known = dict(outer)
    within = query.args.get("with_")
    for cte in within.expressions if within is not None else []:
        known[cte.alias] = _size(cte.this, known)
    total = 0
    stack = [v for k, v in query.args.items() if k != "with_"]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        elif isinstance(node, exp.Query) and node.args.get("with_"):
            total += _size(node, known)
        elif isinstance(node, exp.Expr):
            if isinstance(node, (exp.Join, exp.Group, exp.Window, exp.SetOperation)):
                total += 1
            elif isinstance(node, exp.Table):
                total += known.get(node.name, 1) if not node.db else 1
            stack += list(node.args.values())
    return total
