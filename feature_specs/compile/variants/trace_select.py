"""The affected rows of one SELECT (see `trace_keys`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from feature_specs.compile.sql.clock import bind_clock, has_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.variants.trace_joins import join_rows, source_rows
from feature_specs.compile.variants.traced import (
    Joined,
    Traced,
    TracedColumn,
    UntracedError,
    clock_predicates,
    in_tests,
    listed,
    own_clocks,
    render,
    subqueries_of,
)
from feature_specs.quote import quoted

if TYPE_CHECKING:
    from feature_specs.compile.variants.trace_keys import Tracer

#: Calls that are given rows.
_CALLS = (exp.AggFunc, exp.Window, exp.Filter, exp.WithinGroup)


class SelectTracer:
    """One SELECT, as a table or as the subquery of an outer row."""

    def __init__(
        self, tracer: Tracer, node: exp.Select, known: Mapping[str, Traced], outer: Joined | None
    ) -> None:
        self.tracer, self.node, self.outer = tracer, node, outer
        self.known = known
        self.grouped = node.args.get("group") is not None or any(
            _aggregates(e) for e in [*node.selects, *_clauses(node, "having")]
        )
        self.windows = [
            w
            for part in [*node.selects, *_clauses(node, "qualify")]
            for w in _outside_queries(part, exp.Window)
        ]

    def as_table(self) -> Traced:
        """Its sets, of the columns that it selects."""
        rows, _ = self._rows()
        node = self.node
        keys = self._group_keys(rows)
        affected = [f"select * from {rows.affected}"]
        if self._is_cut() and not rows.still:
            raise UntracedError("LIMIT over all rows is not traced; rank the rows of each key")
        for parts in self._partitions():
            if any(own_clocks(h, *_CALLS) for h in _clauses(node, "having")):
                raise UntracedError(
                    "a window beside a clock in HAVING is not traced; nest the groups"
                )
            affected.append(self._widened(rows, parts, keys))
        whole = self.tracer.cte(" union all ".join(affected)) if affected[1:] else rows.affected
        columns, items = [], []
        for number, item in enumerate(node.selects):
            sql = self._over_row(item.unalias(), rows, keys)
            columns.append(TracedColumn(item.alias_or_name or f"fb_{number}", sql is not None))
            if sql is not None:
                items.append(f"{sql} as {quoted(columns[-1].name)}")
        made = ", ".join(items) or "1 as fb_one"
        queries = [f"select {made} from {whole} as i", *self._group_flips(rows, keys, made)]
        every = self.tracer.cte(f"select {made} from {rows.every} as i")
        return Traced(
            tuple(columns), self.tracer.cte(" union all ".join(queries)), every, rows.still
        )

    def as_subquery(self, tested: exp.Expr | None, *, loose: bool) -> tuple[Joined, str | None]:
        """The rows of a subquery and SQL of the outer rows ``o`` that each ``i`` affects.

        None for the condition where nothing narrows them down.

        Args:
            tested: what is IN it.
            loose: whether nulls on either side matter.
        """
        if self._group_level():
            raise UntracedError("a clock over aggregates in a subquery is not traced")
        rows, tests = self._rows()
        if tested is not None and self.outer is not None:
            keys = self._group_keys(rows)
            parts = list(self._partitions())
            if parts and not tests:
                # A row that is ranked first takes another's place.
                widened = [self._widened(rows, p, keys) for p in parts]
                affected = " union all ".join([f"select * from {rows.affected}", *widened])
                rows = replace(rows, affected=self.tracer.cte(affected))
            if not (parts and tests) and not self._is_cut():
                mine = [self._over_row(s.unalias(), rows, keys) for s in self.node.selects]
                tests += in_tests(tested, self.outer, mine, loose=loose)
        return rows, " and ".join(f"({t})" for t in tests) or None

    # --- rows behind FROM and WHERE ---

    def _rows(self) -> tuple[Joined, list[str]]:
        node, tracer = self.node, self.tracer
        self.known = known = tracer.with_ctes(node, self.known)
        if node.args.get("from_") is None:
            rows = Joined({}, tracer.cte("select 1 as fb_one where false"),
                          tracer.cte("select 1 as fb_one"), still=True)  # fmt: skip
        else:
            rows = source_rows(tracer, node.args["from_"].this, known, self.outer)
        for join in [*(node.args.get("joins") or []), *(node.args.get("laterals") or [])]:
            rows = join_rows(tracer, rows, join, known, self.outer)
        filters, correlated = [], []
        for test in conjuncts(node.args.get("where")):
            sql = render(test, rows, "i")
            if sql is None and self.outer is not None and not has_clock(test):
                sql = render(test, rows, "i", self.outer)
                correlated += [sql] if sql else []
            elif sql is not None and has_clock(test):
                filters.append(" or ".join(f"({s})" for s in self._both(test, rows)))
            elif sql is not None:
                filters.append(sql)
        order: exp.Expr | None = node.args.get("order")
        if (
            order is not None
            and (self._is_cut() or node.args.get("distinct"))
            and (own_clocks(order) or list(subqueries_of(order)))
        ):
            raise UntracedError("a clock or a subquery in ORDER BY is not traced")
        extra = [*self._row_flips(rows), *self._through_subqueries(rows)]
        still = rows.still and not extra
        where = " and ".join(f"({f})" for f in filters) or "true"
        columns = listed(rows.names, "i")
        found = f"select {columns} from {rows.affected} as i"
        found = " union all ".join([found, *extra])
        affected = tracer.cte(f"select {columns} from ({found}) as i where {where}")
        every = tracer.cte(f"select {columns} from {rows.every} as i where {where}")
        return Joined(rows.columns, affected, every, still), correlated

    def _both(self, predicate: exp.Expr, rows: Joined) -> list[str]:
        """SQL of a predicate at T0 and at T1."""
        bound = [bind_clock(predicate, t) for t in (self.tracer.before, self.tracer.after)]
        return [str(render(b, rows, "i")) for b in bound]

    def _row_flips(self, rows: Joined) -> Iterator[str]:
        """SELECTs of the rows of which a predicate of the clock says another thing now."""
        done: dict[str, None] = {}
        for part in self._row_level():
            for predicate in clock_predicates(part):
                if duckdb_sql(predicate) in done:
                    continue
                done[duckdb_sql(predicate)] = None
                yield self._flipped(predicate, rows)

    def _flipped(self, predicate: exp.Expr, rows: Joined) -> str:
        """SELECT of the rows of which one predicate says another thing now."""
        if _outside_queries(predicate, *_CALLS):
            raise UntracedError(
                "a clock over aggregates within a window or aggregate is not traced"
            )
        if render(predicate, rows, "i") is None:
            return self._flips_as_computed(predicate, rows)
        one, two = self._both(predicate, rows)
        flips = f"({one}) is distinct from ({two})"
        return f"select {listed(rows.names, 'i')} from {rows.every} as i where {flips}"

    def _flips_as_computed(self, predicate: exp.Expr, rows: Joined) -> str:
        """The same over computed columns: of rows that are not affected they are as at T1."""
        names = rows.names
        items = [
            f"{quoted(a)}.{quoted(c)} as {quoted(f'{a}.{c}')}"
            for a, held in rows.columns.items()
            for c, kept in held.items()
            if kept
        ]
        bare = exp.Select()
        for part in ("with_", "from_", "joins", "laterals"):
            bare.set(part, _copied(self.node.args.get(part)))
        bare.set("expressions", [exp.var(", ".join(items) or "1 as fb_one")])
        bare.set("where", exp.Where(this=exp.var(self._flip(predicate))))
        return f"select {listed(names)} from ({self._at_present(bare)}) as present"

    def _flip(self, predicate: exp.Expr) -> str:
        self._refuse_outer(predicate)
        sides = [
            duckdb_sql(bind_clock(predicate, t)) for t in (self.tracer.before, self.tracer.after)
        ]
        return f"(({sides[0]}) is distinct from ({sides[1]}))"

    def _refuse_outer(self, node: exp.Expr) -> None:
        outer = set() if self.outer is None else set(self.outer.columns)
        if any(c.table in outer for c in node.find_all(exp.Column)):
            raise UntracedError(
                "a clock over computed columns of a correlated query, or over the outer query's, "
                "is not traced"
            )

    def _at_present(self, node: exp.Select) -> str:
        self._refuse_outer(node)
        outside = [t.name for t in node.find_all(exp.Table) if not t.db and t.name in self.known]
        own = {c.alias for c in node.find_all(exp.CTE)}
        if set(outside) - own:
            raise UntracedError("a clock over a common table expression is not traced")
        return duckdb_sql(bind_clock(node, self.tracer.after))

    def _through_subqueries(self, rows: Joined) -> Iterator[str]:
        """SELECTs of the rows whose subqueries are affected."""
        node = self.node
        group = node.args.get("group")
        parts = [*node.selects, *_clauses(node, "where", "having", "qualify")]
        parts += group.expressions if group is not None else []
        for found in [s for part in parts for s in subqueries_of(part)]:
            tested = found.this if isinstance(found, exp.In) else None
            query = found.args["query"] if isinstance(found, exp.In) else found
            loose = tested is not None and not _stands_in_where(found)
            inner, test = self._subquery(query, rows, tested, loose=loose)
            if test is None and not inner.still:
                raise UntracedError(
                    "a value over all rows changes with any of them; give the subquery a condition "
                    "on the key"
                )
            yield (
                f"select {listed(rows.names, 'o')} from {rows.every} as o where exists "
                f"(select 1 from {inner.affected} as i where {test or 'true'})"
            )

    def _subquery(
        self, query: exp.Expr, rows: Joined, tested: exp.Expr | None, *, loose: bool
    ) -> tuple[Joined, str | None]:
        while isinstance(query, (exp.Subquery, exp.Paren, exp.Exists)):
            query = query.this
        if isinstance(query, exp.Select):
            return self.tracer.subquery(query, self.known, rows, tested, loose=loose)
        found = self.tracer.query(query, self.known, rows)
        held = {"": {c.name: c.traced for c in found.columns}}
        mine = [f"i.{quoted(c.name)}" if c.traced else None for c in found.columns]
        tests = [] if tested is None else in_tests(tested, rows, mine, loose=loose)
        return Joined(held, found.affected, found.every, found.still), " and ".join(tests) or None

    # --- groups, windows and what is selected ---

    def _row_level(self) -> Iterator[exp.Expr]:
        """What reads the clock of one row of FROM."""
        node = self.node
        yield from (t for t in conjuncts(node.args.get("where")) if own_clocks(t))
        computed = [*node.selects, *_clauses(node, "having", "qualify")]
        for part in computed:
            if not self.grouped and not _outside_queries(part, exp.Window):
                if part.parent is node and part.arg_key != "qualify" and own_clocks(part):
                    yield part
                continue
            for call in _outside_queries(part, *_CALLS):
                yield from (a for a in call.iter_expressions() if own_clocks(a))
        group = node.args.get("group")
        yield from (g for g in (group.expressions if group else ()) if own_clocks(g))

    def _group_level(self) -> list[exp.Expr]:
        """What reads the clock of one group, or of one row after window functions."""
        if not self.grouped and not self.windows:
            parts = _clauses(self.node, "qualify")
        else:
            parts = [*self.node.selects, *_clauses(self.node, "having", "qualify")]
        return [p for p in parts if own_clocks(p, *_CALLS)]

    def _group_flips(self, rows: Joined, keys: set[str] | None, whole: str) -> Iterator[str]:
        """SELECTs of the groups of which a predicate says another thing, though no row does.

        Args:
            whole: what is selected of a row ``i``.
        """
        group = self.node.args.get("group")
        for part in self._group_level():
            for predicate in clock_predicates(part, own_clocks(part, *_CALLS)):
                if group is not None and any(
                    predicate in g.find_all(type(predicate)) for g in group.expressions
                ):
                    continue  # its rows go to another group
                if not self.grouped and predicate.find(exp.Window) is None:
                    yield f"select {whole} from ({self._flipped(predicate, rows)}) as i"
                    continue
                made = self.node.copy()
                items = []
                for number, item in enumerate(self.node.selects):
                    if self._over_row(item.unalias(), rows, keys) is not None:
                        name = item.alias_or_name or f"fb_{number}"
                        items.append(f"{duckdb_sql(item.unalias())} as {quoted(name)}")
                made.set("expressions", [exp.var(", ".join(items) or "1 as fb_one")])
                for clause in ("order", "distinct", "having", "qualify", "limit", "offset"):
                    made.set(clause, None)
                late = part.arg_key == "qualify" or predicate.find(exp.Window) is not None
                kind = exp.Qualify if late else exp.Having
                flip = exp.var(self._flip(predicate))
                if late and self.grouped:
                    made.set("having", _copied(self.node.args.get("having")))
                made.set(kind.key, kind(this=flip))
                yield f"select * from ({self._at_present(made)}) as present"

    def _group_keys(self, rows: Joined) -> set[str] | None:
        """SQL of the group's keys that are traced; None where rows are not grouped."""
        if not self.grouped:
            return None
        group = self.node.args.get("group")
        if group is None:
            return set()
        if any(group.args.get(a) for a in ("grouping_sets", "rollup", "cube", "all")):
            raise UntracedError("GROUPING SETS, ROLLUP, CUBE and GROUP BY ALL are not traced")
        return {s for g in group.expressions if (s := render(g, rows, "i")) is not None}

    def _over_row(self, item: exp.Expr, rows: Joined, keys: set[str] | None) -> str | None:
        """SQL of what is selected, where it is an expression of one row, and of its group's keys."""
        if has_clock(item):
            return None
        sql = render(item, rows, "i")
        if sql is None or keys is None or sql in keys:
            return sql
        columns = [render(c, rows, "i") for c in item.find_all(exp.Column)]
        return sql if all(c in keys for c in columns) else None

    def _is_cut(self) -> bool:
        """Whether rows of one value take the place of another's at an end."""
        return any(self.node.args.get(a) is not None for a in ("limit", "offset", "fetch"))

    def _partitions(self) -> Iterator[list[exp.Expr]]:
        for window in self.windows:
            yield list(window.args.get("partition_by") or [])
        distinct = self.node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            on = distinct.args["on"]
            yield list(on.expressions) if isinstance(on, exp.Tuple) else [on]

    def _widened(self, rows: Joined, parts: list[exp.Expr], keys: set[str] | None) -> str:
        """SELECT of every row that shares a partition with an affected one."""
        here = [s for p in parts if (s := self._over_row(p, rows, keys)) is not None]
        if not here and not rows.still:
            raise UntracedError(
                "a window over all rows changes with any of them; partition it by the key"
            )
        one = ", ".join(f"{s} as p{n}" for n, s in enumerate(here)) or "1 as p0"
        same = " and ".join(f"d.p{n} is not distinct from ({s})" for n, s in enumerate(here))
        return (
            f"select i.* from {rows.every} as i where exists (select 1 from (select distinct {one} "
            f"from {rows.affected} as i) as d where {same or 'true'})"
        )


def _clauses(node: exp.Select, *names: str) -> list[exp.Expr]:
    return [node.args[n].this for n in names if node.args.get(n) is not None]


def _outside_queries(node: exp.Expr, *kinds: type[exp.Expr]) -> list[exp.Expr]:
    """The nodes of some kinds that are not within a subquery."""
    found: list[exp.Expr] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (exp.Query, exp.Subquery, exp.Exists)):
            continue
        if isinstance(part, kinds):
            found.append(part)
        waiting += list(part.iter_expressions())
    return found


def _aggregates(node: exp.Expr) -> bool:
    """Whether an item aggregates the rows: a call that no OVER makes a window function."""
    return any(
        not isinstance(_over(call), exp.Window) for call in _outside_queries(node, exp.AggFunc)
    )


def _over(call: exp.Expr) -> exp.Expr | None:
    above = call.parent
    while isinstance(above, (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)):
        above = above.parent
    return above


def _stands_in_where(node: exp.Expr) -> bool:
    """Whether a test is a conjunct of WHERE, where unknown is as good as false."""
    above = node.parent
    while isinstance(above, (exp.And, exp.Paren)):
        above = above.parent
    return isinstance(above, exp.Where)


def _copied(part: object) -> object:
    if isinstance(part, list):
        return [p.copy() for p in part]
    return part.copy() if isinstance(part, exp.Expr) else part
