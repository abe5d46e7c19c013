"""Evaluate a query at many instants without a lateral join, which Trino and Spark seldom unnest.

The instants asked for become a table of their own, distinct, that every scan inside is joined with;
the instant is then one more column of every row, key of every group, window and join inside, and the
outer query joins on it. Neumann and Kemper, "Unnesting Arbitrary Queries", BTW 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.map.nodes import refusal
from feature_specs.compile.engines.rewrite.trace_columns import relations

_NAME = "fb_instant"


def unnest_laterals(statement: EngineStatement) -> None:
    """Replace lateral joins by joins on the instant, in place.

    Raises:
        CompileError: the inner query has a part whose rows at no instant cannot be told.

    >>> show(
    ...     unnest_laterals,
    ...     "select a.fb_instant, q.n from fb_at as a join lateral (select count(*) as n from "
    ...     "events as e where e.ts <= a.fb_instant group by e.k) as q on true",
    ...     "trino",
    ... )
    SELECT a.fb_instant, q.n FROM fb_at AS a JOIN (SELECT COUNT(*) AS n,
    "fb_d1"."fb_instant" AS "fb_instant" FROM (SELECT DISTINCT "fb_instant" FROM fb_at) AS
    "fb_d1" CROSS JOIN events AS e WHERE e.ts <= "fb_d1"."fb_instant" GROUP BY e.k,
    "fb_d1"."fb_instant") AS q ON TRUE AND a.fb_instant = "q"."fb_instant"
    """
    tree, engine = statement.tree, statement.engine
    for select in list(tree.find_all(exp.Select)):
        for join in select.args.get("joins") or []:
            if isinstance(join.this, exp.Lateral):
                _unnest(select, join, engine)


def _unnest(select: exp.Select, join: exp.Join, engine: str) -> None:
    outer = select.args["from_"].this
    lateral = join.this
    query = lateral.this
    while isinstance(query, (exp.Subquery, exp.Paren)):
        query = query.this
    if not isinstance(outer, exp.Table) or not isinstance(query, exp.Query):
        raise refusal("a lateral join", engine)
    alias = outer.alias_or_name
    read = {c.name for c in query.find_all(exp.Column) if c.table == alias}
    if not read <= {_NAME}:
        raise refusal(_named(query, read), engine)
    unnesting = _Unnesting(engine, alias, outer)
    unnesting.query(query)
    name = lateral.args["alias"]
    join.set("this", exp.Subquery(this=query, alias=name.copy()))
    here = exp.column(_NAME, table=alias)
    there = exp.column(_NAME, table=name.name, quoted=True)
    join.set("on", exp.and_(join.args.get("on"), here.eq(there)))


def _named(query: exp.Query, read: set[str]) -> str:
    """A lateral join as its author wrote it: a function in FROM, or a query."""
    tables = (table.this for table in query.find_all(exp.Table))
    call = query.find(exp.Explode) or next((t for t in tables if isinstance(t, exp.Func)), None)
    if call is None:
        return f"a lateral join that reads {', '.join(sorted(read))}"
    listed = isinstance(call, exp.Explode) and isinstance(call.this, exp.GenerateSeries)
    return f"the function {(call.this if listed else call).sql('duckdb')} in FROM"


@dataclass
class _Unnesting:
    """One inner query on its way.

    Attributes:
        alias: the outer table whose instants are asked for; ``outer`` reads it.
        extended: names of the CTEs inside, which have the instant already.
    """

    engine: str
    alias: str
    outer: exp.Table
    extended: set[str] = field(default_factory=set)
    count: int = 0

    def query(self, query: exp.Expr) -> None:
        """Let a query of FROM hand on the instant of each row as its last column."""
        self._ctes(query)
        if isinstance(query, exp.Subquery):
            self.query(query.this)
            return
        if isinstance(query, exp.SetOperation):
            self.query(query.this)
            self.query(query.expression)
            return
        if not isinstance(query, exp.Select):
            raise refusal(f"a {query.key} inside a lateral join", self.engine)
        aggregates = _aggregates(query)
        if query.args.get("limit") or query.args.get("offset"):
            raise refusal("LIMIT in FROM, evaluated anew at each instant,", self.engine)
        group = query.args.get("group")
        if group is None and aggregates:
            raise refusal(
                "an aggregate without GROUP BY in FROM, evaluated anew at each instant,",
                self.engine,
            )
        if any(s.is_star for s in query.expressions):
            raise refusal("`*` of unknown columns inside a lateral join", self.engine)
        instant = self._select(query)
        if group is not None:
            group.append("expressions", instant.copy())
        query.append("expressions", exp.alias_(instant, _NAME, quoted=True))

    def _ctes(self, query: exp.Expr) -> None:
        within = query.args.get("with_")
        for cte in within.expressions if within is not None else []:
            self.query(cte.this)
            self.extended.add(cte.alias)

    def _select(self, select: exp.Select) -> exp.Expr:
        """Give every source the instant; returns it as an expression over the sources."""
        nested = list(_expression_queries(select))
        inside: list[exp.Expr] = []
        for source in relations(select):
            if isinstance(source, exp.Subquery):
                self.query(source.this)
                inside.append(source)
            elif isinstance(source, exp.Table) and source.name in self.extended and not source.db:
                inside.append(source)
        instant = self._instant(select, inside)
        for window in list(select.find_all(exp.Window)):
            if window.parent_select is select:
                window.append("partition_by", instant.copy())
        for column in list(select.find_all(exp.Column)):
            if column.table == self.alias and column.parent_select is select:
                column.replace(instant.copy())
        for query in nested:
            self._correlated(query, instant)
        return instant

    def _instant(self, select: exp.Select, inside: list[exp.Expr]) -> exp.Expr:
        """Join the sources at equal instants, and with the table of instants where one lacks it."""
        start = select.args.get("from_")
        if start is None:
            raise refusal("a SELECT without FROM inside a lateral join", self.engine)
        joins = list(select.args.get("joins") or [])
        whole = [*relations(select)]
        if len(inside) < len(whole) or any(j.side.upper() in ("RIGHT", "FULL") for j in joins):
            if any(j.side.upper() in ("RIGHT", "FULL") for j in joins):
                raise refusal("a RIGHT or FULL join evaluated anew at each instant", self.engine)
            self.count += 1
            name = f"fb_d{self.count}"
            instant = exp.column(_NAME, table=name, quoted=True)
            first = exp.Join(this=start.this)
            if any(start.this is s for s in inside):
                first.set("on", self._same(start.this, instant))
            else:
                first.set("kind", "CROSS")
            select.set("from_", exp.From(this=self._domain(name)))
            select.set("joins", [first, *joins])
        else:
            instant = exp.column(_NAME, table=start.this.alias_or_name, quoted=True)
        for join in joins:
            if not any(join.this is s for s in inside):
                continue
            if join.args.get("using"):
                raise refusal("a join by USING inside a lateral join", self.engine)
            tests = [
                t for t in (join.args.get("on"), self._same(join.this, instant)) if t is not None
            ]
            join.set("on", exp.and_(*tests))
            if join.kind.upper() == "CROSS":
                join.set("kind", None)
        return instant

    def _same(self, source: exp.Expr, instant: exp.Expr) -> exp.Expr:
        theirs = exp.column(_NAME, table=source.alias_or_name, quoted=True)
        return exp.EQ(this=instant.copy(), expression=theirs)

    def _domain(self, name: str) -> exp.Subquery:
        table = self.outer.copy()
        table.set("alias", None)
        query = exp.Select(
            expressions=[exp.column(_NAME, quoted=True)],
            distinct=exp.Distinct(),
            from_=exp.From(this=table),
        )
        return exp.Subquery(
            this=query, alias=exp.TableAlias(this=exp.to_identifier(name, quoted=True))
        )

    def _correlated(self, query: exp.Expr, outer: exp.Expr) -> None:
        """A subquery in an expression: its rows are those of the outer row's instant."""
        while isinstance(query, exp.Subquery):
            query = query.this
        if not isinstance(query, exp.Select) or query.args.get("with_"):
            raise refusal("a set operation in a subquery at each instant", self.engine)
        instant = self._select(query)
        group = query.args.get("group")
        if group is not None:
            group.append("expressions", instant.copy())
        query.where(exp.EQ(this=instant, expression=outer.copy()), copy=False)


def _expression_queries(select: exp.Select) -> Iterator[exp.Expr]:
    """The outermost queries inside the expressions of a SELECT."""
    for key, value in select.args.items():
        if key in ("from_", "with_", "joins", "laterals"):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, exp.Expr):
                for node in part.walk(prune=lambda n: isinstance(n, exp.Query)):
                    if isinstance(node, exp.Query):
                        yield node


def _aggregates(select: exp.Select) -> bool:
    """It aggregates all rows to groups: an aggregate stands outside windows."""
    for item in [*select.expressions, select.args.get("having")]:
        if item is None:
            continue
        for node in item.walk(prune=lambda n: isinstance(n, (exp.Query, exp.Window))):
            if isinstance(node, exp.AggFunc):
                return True
    return False
