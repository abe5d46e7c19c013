"""Merge subqueries that are read once into the query that reads them.

SQLGlot's pass writes an expression of the inner query wherever the outer one reads its column. On
the side of an outer join that may have no match the column is null then, and the expression need not
be. There it is made null with the column that the join compares, or the query stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp
from sqlglot.optimizer.merge_subqueries import merge_subqueries

from feature_specs.compile.sql.conjuncts import conjuncts

#: A part of SELECT with which SQLGlot merges nothing, and which no query has here.
_APART = "into"

_Named = Mapping[str, Sequence[exp.Expr]]


def merge_queries(tree: exp.Query) -> exp.Query:
    """Merge subqueries, in place; every column must be qualified by its table.

    >>> show(
    ...     merge_queries,
    ...     "select s.k, sum(s.twice) as v from (select k, x * 2 as twice from events) as s "
    ...     "group by s.k",
    ... )
    SELECT "events"."k" AS "k", SUM("events"."x" * 2) AS "v" FROM "events" AS "events" GROUP
    BY "events"."k"
    """
    named: dict[str, list[exp.Expr]] = {}
    for cte in tree.find_all(exp.CTE):
        named.setdefault(cte.alias, []).append(cte.this)
    for select in list(tree.find_all(exp.Select)):
        for source, join in _nullable_sources(select):
            queries = [q for q in _queries_of(source, named) if _computes(q, named)]
            if not (queries and join is not None and _null_where_unmatched(join, named)):
                for query in queries:
                    query.set(_APART, exp.Into())
    merged = merge_subqueries(tree, leave_tables_isolated=False)
    for select in merged.find_all(exp.Select):
        if select.args.get(_APART):
            select.set(_APART, None)
    return merged


def _nullable_sources(select: exp.Select) -> Iterator[tuple[exp.Expr, exp.Join | None]]:
    """What a SELECT reads whose columns an outer join may fill with null, with its LEFT join."""
    joins: Sequence[exp.Join] = select.args.get("joins") or []
    turned = [join.side in ("RIGHT", "FULL") for join in joins]
    for place, join in enumerate(joins):
        if any(turned[place:]):
            yield join.this, None
        elif join.side == "LEFT":
            yield join.this, join
    start = select.args.get("from_")
    if start is not None and any(turned):
        yield start.this, None


def _queries_of(source: exp.Expr, named: _Named) -> Iterator[exp.Select]:
    """The SELECTs that SQLGlot might merge for a source of FROM."""
    if isinstance(source, exp.Table):
        found: Sequence[exp.Expr] = [] if source.db else named.get(source.name, ())
        yield from (query for query in found if isinstance(query, exp.Select))
    elif isinstance(source, exp.Subquery) and isinstance(source.this, exp.Query):
        query = source.unnest()
        if isinstance(query, exp.Select):
            yield query
    else:
        yield from source.find_all(exp.Select)
        for table in source.find_all(exp.Table):
            yield from _queries_of(table, named)


def _computes(query: exp.Select, named: _Named) -> bool:
    """A column of the query, or of one that it reads, is more than a column of a table."""
    if any(
        not isinstance(item.unalias(), exp.Column)
        for select in query.find_all(exp.Select)
        for item in select.selects
    ):
        return True
    return any(
        isinstance(inner, exp.Select) and inner is not query and _computes(inner, named)
        for table in query.find_all(exp.Table)
        for inner in (() if table.db else named.get(table.name, ()))
    )


def _null_where_unmatched(join: exp.Join, named: _Named) -> bool:
    """Make a joined subquery's columns null with one that ON compares; False where none is plain."""
    alias, source = join.this.alias_or_name, join.this
    query = source.unnest() if isinstance(source, exp.Subquery) else None
    if not isinstance(query, exp.Select) or query.is_star:
        return False
    for test in conjuncts(join.args.get("on")):
        for side in (test.this, test.expression) if isinstance(test, exp.EQ) else ():
            if not isinstance(side, exp.Column) or side.table != alias:
                continue
            key = _table_column(query, side.name, named)
            if key is None:
                continue
            for item in query.selects:
                value = item.unalias()
                if _table_column(query, item.alias_or_name, named) is None:
                    present = exp.Not(this=exp.Is(this=key.copy(), expression=exp.Null()))
                    guarded = exp.Case().when(present, value.copy())
                    item.replace(exp.alias_(guarded, item.alias_or_name, quoted=True))
            return True
    return False


def _table_column(query: exp.Select, name: str, named: _Named) -> exp.Column | None:
    """The query's column of that name, where it is a column of a table through and through."""
    item = next((s.unalias() for s in query.selects if s.alias_or_name == name), None)
    start = query.args.get("from_")
    if not isinstance(item, exp.Column) or start is None or query.args.get("joins"):
        return None
    source = start.this
    if isinstance(source, exp.Subquery):
        inner = source.unnest()
        found = _table_column(inner, item.name, named) if isinstance(inner, exp.Select) else None
        return item if found is not None else None
    known = isinstance(source, exp.Table) and (source.db or source.name not in named)
    return item if known else None
