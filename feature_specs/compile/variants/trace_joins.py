"""The affected rows of FROM: a source, and a join to what stands before it (see `trace_keys`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sqlglot import exp

from feature_specs.compile.sql.clock import bind_clock, has_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.variants.traced import (
    Joined,
    Traced,
    UntracedError,
    clock_predicates,
    listed,
    render,
    subqueries_of,
)
from feature_specs.quote import quoted

if TYPE_CHECKING:
    from feature_specs.compile.variants.trace_keys import Tracer

#: By a join's side: whether rows of the left, and of the right, are kept without a match.
_KEPT = {"": (False, False), "LEFT": (True, False), "RIGHT": (False, True), "FULL": (True, True)}


def source_rows(
    tracer: Tracer, source: exp.Expr, known: Mapping[str, Traced], outer: Joined | None
) -> Joined:
    """The sets of one source, its columns named after its alias."""
    if source.args.get("joins"):
        raise UntracedError("a join in parentheses is not traced")
    if isinstance(source, exp.Table) and not isinstance(source.this, exp.Func):
        found = tracer.table(source, known)
    elif isinstance(source, (exp.Subquery, exp.Query)):
        found = tracer.query(source, known, outer)
    else:
        return _constant(tracer, source)
    if any(source.args.get(a) for a in ("pivots", "sample")):
        raise UntracedError("PIVOT and samples are not traced")
    alias = source.args.get("alias")
    named = [c.name for c in (alias.args.get("columns") or ())] if alias is not None else []
    found = tracer.renamed(found, named)
    name = source.alias_or_name
    items = ", ".join(f"{quoted(c)} as {quoted(f'{name}.{c}')}" for c in found.traced)
    affected, every = (
        tracer.cte(f"select {items or '1 as fb_one'} from {relation}")
        for relation in (found.affected, found.every)
    )
    return Joined({name: {c.name: c.traced for c in found.columns}}, affected, every, found.still)


def _constant(tracer: Tracer, source: exp.Expr) -> Joined:
    """What reads no relation: VALUES, unnest, a series. Its rows change with what it is given."""
    _refuse_clock(source)
    if isinstance(source, exp.Table) and source.find(exp.Query) is not None:
        raise UntracedError("a function over a query is not traced")
    never = tracer.cte("select 1 as fb_one where false")
    return Joined({source.alias_or_name: {}}, never, tracer.cte("select 1 as fb_one"), still=True)


def join_rows(
    tracer: Tracer, left: Joined, join: exp.Expr, known: Mapping[str, Traced], outer: Joined | None
) -> Joined:
    """The sets of a join of what stands before it with one source more.

    Args:
        join: a JOIN, or LATERAL alone.
    """
    source = join.this if isinstance(join, exp.Join) else join
    correlated = _lateral(source, left)
    if correlated is not None:
        for test in conjuncts(join.args.get("on")):
            _refuse_clock(test)
        return _join_lateral(tracer, left, source, correlated, known)
    if not isinstance(join, exp.Join):
        return _hidden(left, _constant(tracer, source))
    if join.args.get("using") or (join.args.get("method") or "").upper() == "NATURAL":
        raise UntracedError("USING is not traced; write the condition as ON")
    right = source_rows(tracer, source, known, outer)
    clash = left.columns.keys() & right.columns.keys()
    if clash:
        raise UntracedError(f"two relations are named {sorted(clash)[0]}")
    return _Pairs(tracer, left, right, join).joined()


def _lateral(source: exp.Expr, left: Joined) -> exp.Expr | None:
    """The query or function of a source that reads columns of those before it."""
    inner = source.this if isinstance(source, exp.Lateral) else source
    reads = any(c.table in left.columns for c in inner.find_all(exp.Column))
    own = {t.alias_or_name for t in inner.find_all(exp.Table, exp.Subquery)}
    if not reads or (own >= left.columns.keys() and not isinstance(source, exp.Lateral)):
        return None
    return inner


def _join_lateral(
    tracer: Tracer, left: Joined, source: exp.Expr, inner: exp.Expr, known: Mapping[str, Traced]
) -> Joined:
    """Rows of the left, which are affected where what they read besides is; its columns are not
    traced."""
    while isinstance(inner, (exp.Subquery, exp.Paren)):
        inner = inner.this
    if not isinstance(inner, exp.Query):
        _refuse_clock(inner)
        return Joined(
            {**left.columns, source.alias_or_name: {}}, left.affected, left.every, left.still
        )
    if not isinstance(inner, exp.Select):
        raise UntracedError("a set operation in LATERAL is not traced")
    rows, test = tracer.subquery(inner, known, left, loose=False)
    if test is None and not rows.still:
        raise UntracedError("LATERAL without a condition on what stands before it is not traced")
    names = listed(left.names, "o")
    affected = tracer.cte(
        f"select {listed(left.names)} from {left.affected} union all select {names} from "
        f"{left.every} as o where exists "
        f"(select 1 from {rows.affected} as i where {test or 'true'})"
    )
    columns = {**left.columns, source.alias_or_name: dict[str, bool]()}
    return Joined(columns, affected, left.every, left.still and rows.still)


def _refuse_clock(node: exp.Expr) -> None:
    if has_clock(node) or any(True for _ in subqueries_of(node)):
        raise UntracedError(
            "a clock or a subquery in VALUES, a function, or ON of LATERAL is not traced; write it "
            "in WHERE"
        )


def _hidden(left: Joined, right: Joined) -> Joined:
    return Joined({**left.columns, **right.columns}, left.affected, left.every, left.still)


class _Pairs:
    """A join: pairs of rows for which ON may hold, and rows without a match where they are kept."""

    def __init__(self, tracer: Tracer, left: Joined, right: Joined, join: exp.Join) -> None:
        self.tracer, self.left, self.right = tracer, left, right
        self.side, self.kind = (str(join.args.get(a) or "").upper() for a in ("side", "kind"))
        self.method = str(join.args.get("method") or "").upper()
        if self.kind in ("SEMI", "ANTI") or self.side in ("SEMI", "ANTI"):
            self.side, self.kind = "", "SEMI"
        self.both = Joined({**left.columns, **right.columns}, "", "", left.still and right.still)
        self.tests: list[str] = []
        self.flips: list[str] = []
        for test in conjuncts(join.args.get("on")):
            self._take(test)

    def _take(self, test: exp.Expr) -> None:
        if any(True for _ in subqueries_of(test)):
            raise UntracedError("a subquery in ON is not traced; write it in WHERE")
        sql = render(test, self.both, "i")
        if not has_clock(test):
            self.tests += [sql] if sql is not None else []
            return
        for predicate in clock_predicates(test):
            if render(predicate, self.both, "i") is None:
                raise UntracedError("a clock over computed columns in ON is not traced")
            sides = [
                render(bind_clock(predicate, t), self.both, "i")
                for t in (self.tracer.before, self.tracer.after)
            ]
            self.flips.append(f"(({sides[0]}) is distinct from ({sides[1]}))")

    def joined(self) -> Joined:
        """The sets of the join."""
        if self.method == "ASOF" or self.kind == "SEMI":
            return self._left_alone()
        if not self.tests and not (self.left.still or self.right.still):
            raise UntracedError("a join without a condition on traced columns is not traced")
        affected = [
            *self._rows(self.left.affected, self.right.every, ""),
            *self._rows(self.left.every, self.right.affected, ""),
        ]
        if self.flips:
            flips = f"({' or '.join(self.flips)})"
            affected += self._rows(self.left.every, self.right.every, flips)
        keep_left, keep_right = _KEPT[self.side]
        if keep_left:
            affected.append(self._alone(self.left.affected, self.left, self.right))
        if keep_right:
            affected.append(self._alone(self.right.affected, self.right, self.left))
        every = list(self._rows(self.left.every, self.right.every, "", alone=False))
        if keep_left:
            every.append(self._alone(self.left.every, self.left, self.right))
        if keep_right:
            every.append(self._alone(self.right.every, self.right, self.left))
        made = [self.tracer.cte(" union all ".join(part)) for part in (affected, every)]
        return Joined(self.both.columns, made[0], made[1], self.both.still and not self.flips)

    def _rows(self, left: str, right: str, also: str, *, alone: bool = True) -> Iterator[str]:
        """SELECTs of the pairs of two relations, and of each side of them without the other."""
        on = " and ".join(f"({t})" for t in [*self.tests, *([also] if also else [])]) or "true"
        names = self.both.names
        columns = listed(names, "i")
        pairs = f"(select * from {left} as l join {right} as r on true) as i"
        read = f"from {pairs} where {on}"
        yield f"select {columns} {read}"
        keep_left, keep_right = _KEPT[self.side]
        if alone and keep_left:
            yield f"select {listed(names, 'i', null=frozenset(self.right.names))} {read}"
        if alone and keep_right:
            yield f"select {listed(names, 'i', null=frozenset(self.left.names))} {read}"

    def _alone(self, relation: str, kept: Joined, lost: Joined) -> str:
        null = frozenset(lost.names)
        return f"select {listed(self.both.names, 'i', null=null)} from {relation} as i"

    def _left_alone(self) -> Joined:
        """Rows of the left, of which the other side's are read as values or as a test."""
        if not self.tests and not self.right.still:
            raise UntracedError("a join without a condition on traced columns is not traced")
        found = [f"select {listed(self.left.names)} from {self.left.affected}"]
        names = listed(self.left.names, "i")
        for relation, also in ((self.right.affected, ""), (self.right.every, "flips")):
            if also and not self.flips:
                continue
            tests = [*self.tests, *([f"({' or '.join(self.flips)})"] if also else [])]
            on = " and ".join(f"({t})" for t in tests) or "true"
            pairs = f"(select * from {self.left.every} as l join {relation} as r on true) as i"
            found.append(f"select {names} from {pairs} where {on}")
        columns = {**self.left.columns, **{a: dict[str, bool]() for a in self.right.columns}}
        affected = self.tracer.cte(" union all ".join(found))
        return Joined(columns, affected, self.left.every, self.both.still and not self.flips)
