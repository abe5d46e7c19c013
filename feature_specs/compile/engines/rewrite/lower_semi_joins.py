"""Write SEMI and ANTI joins as EXISTS, which Trino has."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.map.nodes import refusal
from feature_specs.compile.engines.rewrite.trace_columns import Trace


def lower_semi_joins(statement: EngineStatement) -> None:
    """Replace SEMI and ANTI joins by EXISTS for Trino, in place, and trace the statement again.

    >>> show(
    ...     lower_semi_joins,
    ...     "select e.k from events as e semi join versions as v on v.k = e.k",
    ...     "trino",
    ... )
    SELECT e.k FROM events AS e WHERE EXISTS(SELECT 1 FROM versions AS v WHERE v.k = e.k)
    """
    if statement.engine != "trino":
        return
    tree, trace, engine = statement.tree, statement.trace, statement.engine
    for select in list(tree.find_all(exp.Select)):
        kept = []
        for join in select.args.get("joins") or []:
            if join.kind.upper() not in ("SEMI", "ANTI"):
                kept.append(join)
                continue
            test = join.args.get("on") or _of_using(select, join, trace, engine)
            matches = exp.Select(
                expressions=[exp.Literal.number(1)],
                from_=exp.From(this=join.this),
                where=exp.Where(this=test),
            )
            found: exp.Expr = exp.Exists(this=matches)
            if join.kind.upper() == "ANTI":
                found = exp.Not(this=found)
            select.where(found, copy=False)
        if len(kept) != len(select.args.get("joins") or []):
            select.set("joins", kept)
    statement.trace_again()


def _of_using(select: exp.Select, join: exp.Join, trace: Trace, engine: str) -> exp.Expr:
    right = join.this.alias_or_name
    sources = trace.sources(select)
    tests: list[exp.Expr] = []
    for name in join.args.get("using") or []:
        owners = [a for a, c in sources.items() if a != right and c is not None and name.name in c]
        if len(owners) != 1:
            raise refusal(
                f"a {join.kind} join USING ({name.name})", engine, "write its condition under ON"
            )
        ours = exp.column(name.name, table=owners[0], quoted=True)
        tests.append(exp.EQ(this=ours, expression=exp.column(name.name, table=right, quoted=True)))
    return exp.and_(*tests)
