"""Write ``select * from (select ..., row_number() over (...) as n ...) where n = 1`` as QUALIFY."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.sql.conjuncts import conjuncts

#: What makes a condition on the rank mean something else inside the subquery than outside it.
_BLOCKING = ("group", "having", "qualify", "distinct", "limit", "offset")


def push_ranks(query: exp.Query) -> exp.Query:
    """A copy in which filters on a subquery's rank stand where the rank is computed.

    The rank itself goes where nothing else reads it; where it has to be 1, readers read 1.

    >>> show(
    ...     push_ranks,
    ...     "select k, n from (select k, n, row_number() over (partition by k order by n) as "
    ...     "r from (select k, count(*) as n from events group by k) as g) as v where r = 1",
    ... )
    SELECT "v"."k" AS "k", "v"."n" AS "n" FROM (SELECT "g"."k" AS "k", "g"."n" AS "n" FROM
    (SELECT "events"."k" AS "k", COUNT(*) AS "n" FROM "events" AS "events" GROUP BY
    "events"."k") AS "g" QUALIFY ROW_NUMBER() OVER (PARTITION BY "g"."k" ORDER BY "g"."n",
    "g"."k" ASC) = 1) AS "v"
    """
    tree = query.copy()
    _inline_single_ctes(tree)
    for select in list(tree.find_all(exp.Select)):
        where = select.args.get("where")
        for test in list(conjuncts(where)):
            if isinstance(test, (exp.EQ, exp.LTE, exp.LT)):
                _push(select, test)
    return tree


def _push(select: exp.Select, test: exp.Expr) -> None:
    column, bound = test.this, test.expression
    if not isinstance(column, exp.Column) or not isinstance(bound, exp.Literal) or not bound.is_int:
        return
    inner = _subquery(select, column.table)
    if inner is None or any(inner.args.get(k) for k in _BLOCKING):
        return
    item = next((s for s in inner.selects if s.alias_or_name == column.name), None)
    rank = item.unalias() if item is not None else None
    if not isinstance(rank, exp.Window) or not isinstance(rank.this, exp.RowNumber):
        return
    others = [s for s in inner.selects if s is not item and s.find(exp.Window)]
    if others:
        return
    moved = type(test)(this=rank.copy(), expression=bound.copy())
    inner.set("qualify", exp.Qualify(this=moved))
    kept = [t for t in conjuncts(select.args["where"]) if t is not test]
    select.set("where", exp.Where(this=exp.and_(*(t.copy() for t in kept))) if kept else None)
    readers = [
        c for c in select.find_all(exp.Column) if c.table == column.table and c.name == column.name
    ]
    if isinstance(test, exp.EQ) and bound.this == "1":
        for reader in readers:
            reader.replace(exp.Literal.number(1))
        readers = []
    if not readers and len(inner.selects) > 1 and item is not None:
        inner.set("expressions", [s for s in inner.selects if s is not item])


def _subquery(select: exp.Select, alias: str) -> exp.Select | None:
    """The subquery of FROM or of an inner join by that name."""
    start = select.args.get("from_")
    sources = [start.this] if start is not None else []
    joins = select.args.get("joins") or []
    if any(j.side for j in joins):
        return None
    sources += [j.this for j in joins]
    for source in sources:
        if isinstance(source, exp.Subquery) and source.alias == alias:
            return source.this if isinstance(source.this, exp.Select) else None
    return None


def _inline_single_ctes(tree: exp.Query) -> None:
    """Put a CTE that one place reads into that place."""
    while True:
        for cte in list(tree.find_all(exp.CTE)):
            readers = [t for t in tree.find_all(exp.Table) if not t.db and t.name == cte.alias]
            same = [c for c in tree.find_all(exp.CTE) if c.alias == cte.alias]
            if (
                len(readers) == 1
                and len(same) == 1
                and cte.find(exp.Table, bfs=False) is not readers[0]
            ):
                break
        else:
            return
        reader = readers[0]
        alias = exp.TableAlias(this=exp.to_identifier(reader.alias_or_name, quoted=True))
        reader.replace(
            exp.Subquery(this=cte.this.copy(), alias=alias, joins=reader.args.get("joins"))
        )
        holder = cte.parent
        cte.pop()
        if holder is not None and not holder.expressions:
            holder.pop()
