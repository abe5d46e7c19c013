"""Write the common table expressions of a statement as tables.

Trino computes a common table expression anew for each of its readers, and theirs for each of theirs,
and refuses a statement of more than 150 stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement


@dataclass(frozen=True)
class Steps:
    """Statements to run one after the other.

    Attributes:
        create: each makes a table.
        query: the answer.
        drop: drops the tables; to be run after a failure too.
    """

    create: tuple[str, ...]
    query: str
    drop: tuple[str, ...]


def split_steps(statement: EngineStatement, prefix: str) -> Steps:
    """Make tables of what is read more than once.

    Args:
        statement: in the engine's own functions.
        prefix: what the tables' names begin with, catalog and schema included.

    >>> show(
    ...     split_steps,
    ...     "with a as (select k from events) select k from a union all select k from a",
    ...     "trino",
    ... )
    create table run_1 as SELECT   k FROM events; SELECT   k FROM run_1 AS "a" UNION ALL
    SELECT   k FROM run_1 AS "a"; drop table if exists run_1
    """
    tree, engine = statement.tree, statement.engine
    ctes = _hoisted(tree)
    tables = [t.name for t in tree.find_all(exp.Table) if not t.db]
    inside = [t.name for cte in ctes for t in cte.this.find_all(exp.Table) if not t.db]
    readers = {cte.alias: (tables + inside).count(cte.alias) for cte in ctes}
    placed: dict[str, exp.Table] = {}
    inline: list[exp.CTE] = []
    create, drop = [], []
    for cte in ctes:
        _point(cte.this, placed)
        if readers[cte.alias] < 2:
            inline.append(cte)
            continue
        name = f"{prefix}{len(placed) + 1}"
        query = _with_needed(cte.this, inline)
        create.append(f"create table {name} as\n{query.sql(engine, pretty=True)}")
        purge = " purge" if engine == "spark" else ""  # Spark else leaves an Iceberg table's files
        drop.append(f"drop table if exists {name}{purge}")
        placed[cte.alias] = exp.to_table(name, dialect=engine)
    _point(tree, placed)
    final = _with_needed(tree, inline)
    return Steps(tuple(create), final.sql(engine, pretty=True), tuple(drop))


def _hoisted(tree: exp.Expr) -> list[exp.CTE]:
    """All CTEs, those inside others before them; the statement is left without."""
    found: list[exp.CTE] = []
    for holder in [tree, *(n for n in tree.walk() if n is not tree and n.args.get("with_"))]:
        within = holder.args.get("with_")
        if within is None:
            continue
        for cte in within.expressions:
            found += _hoisted(cte.this)
            found.append(cte)
        holder.set("with_", None)
    return found


def _point(query: exp.Expr, placed: dict[str, exp.Table]) -> None:
    for table in list(query.find_all(exp.Table)):
        target = placed.get(table.name) if not table.db else None
        if target is not None:
            made = target.copy()
            made.set(
                "alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
            )
            made.set("joins", table.args.get("joins"))
            table.replace(made)


def _with_needed(query: exp.Expr, known: Sequence[exp.CTE]) -> exp.Expr:
    """A copy with the CTEs that it reads, and those that these read."""
    needed: list[exp.CTE] = []
    wanted = {t.name for t in query.find_all(exp.Table) if not t.db}
    for cte in reversed(known):
        if cte.alias in wanted:
            needed.insert(0, cte.copy())
            wanted |= {t.name for t in cte.this.find_all(exp.Table) if not t.db}
    made = query.copy()
    if needed:
        made.set("with_", exp.With(expressions=needed))
    return made
