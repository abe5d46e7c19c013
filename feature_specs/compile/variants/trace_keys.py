"""Which entities may differ between (D0, T0) and (D1, T1), traced from the rows that changed.

For each relation of the query two sets are written as SQL, of its *traced* columns, those that are
expressions of one row of leaves each:

- ``affected``: at least the rows that are in one of its results, at (D0, T0) or (D1, T1), and not in
  the other, or that differ between them in any column;
- ``every``: at least all rows of both results.

A leaf's affected rows are those written since. A predicate of the clock affects the rows for which
it says one thing at T0 and another at T1. What an operator does with affected rows follows from
what it does with rows: a filter and a projection hand them on, a join meets them with every row of
the other side, a group or a window is affected by any of its rows, a subquery affects the outer
rows that it is correlated with. Conditions on what is not traced are left out, which only adds
rows. (As delta rules for views: Gupta, Mumick and Subrahmanian, SIGMOD 1993; here over both results
at once, since it is keys that are asked for and not rows.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.bound_leaves import bound_leaves
from feature_specs.compile.leaves.leaf_tables import leaf_table
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.time_axis import instant_parameter
from feature_specs.compile.variants.trace_select import SelectTracer
from feature_specs.compile.variants.traced import Joined, Traced, TracedColumn, UntracedError
from feature_specs.leaf import Leaf
from feature_specs.quote import quoted

#: Stand for T0 and T1 until all is written, since these may be queries themselves.
_BEFORE, _AFTER = "fb_before", "fb_after"


@dataclass(frozen=True)
class Changes:
    """What was written between D0 and D1.

    Attributes:
        came: leaf name to a relation of the rows that it has gained.
        went: leaf name to a relation of those that it has lost.
        was: leaf name to a relation of it as it stood at D0, where rows may have been lost.
    """

    came: Mapping[str, str]
    went: Mapping[str, str] = field(default_factory=dict)
    was: Mapping[str, str] = field(default_factory=dict)

    def each(self) -> list[dict[str, str]]:
        """For each leaf, what came beside the others as they are, and what went as they were."""
        out: list[dict[str, str]] = []
        for leaf in dict.fromkeys([*self.came, *self.went]):
            out += [{leaf: self.came[leaf]}] if leaf in self.came else []
            out += [{**self.was, leaf: self.went[leaf]}] if leaf in self.went else []
        return out


def trace_keys(draft: Draft, before: exp.Expr, after: exp.Expr, changes: Changes) -> str:
    """SQL of the keys that may differ.

    Raises:
        UntracedError: they cannot be traced; says what stands in the way.
    """
    tree = bound_leaves(draft, draft.stored, exp.CurrentTimestamp())
    tracer = Tracer(draft, changes)
    found = tracer.query(tree, {})
    entities = draft.view.entities
    for entity in entities:
        if entity not in found.traced:
            raise UntracedError(f"the key {entity} is computed from more than one row")
    keys = ", ".join(map(quoted, entities))
    held = " and ".join(f"not {quoted(e)} is null" for e in entities)
    ctes = ", ".join(f"{name} as ({sql})" for name, sql in tracer.ctes)
    for name, instant in ((_BEFORE, before), (_AFTER, after)):
        ctes = ctes.replace(f"${name}", f"({duckdb_sql(instant)})")
    return f"with {ctes} select distinct {keys} from {found.affected} where {held}"


@dataclass
class Tracer:
    """Writes the sets of one query's relations, as CTEs."""

    draft: Draft
    changes: Changes
    before: exp.Expr = field(default_factory=lambda: instant_parameter(_BEFORE))
    after: exp.Expr = field(default_factory=lambda: instant_parameter(_AFTER))
    ctes: list[tuple[str, str]] = field(default_factory=list)

    def cte(self, sql: str) -> str:
        """Name a relation."""
        name = f"fb_traced{len(self.ctes)}"
        self.ctes.append((name, sql))
        return name

    def query(
        self, node: exp.Expr, known: Mapping[str, Traced], outer: Joined | None = None
    ) -> Traced:
        """The sets of a query whose rows are read as a table."""
        while isinstance(node, (exp.Subquery, exp.Paren)):
            if node.args.get("joins"):
                raise UntracedError("a join in parentheses is not traced")
            node = node.this
        known = self.with_ctes(node, known)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, known, outer)
        if not isinstance(node, exp.Select):
            raise UntracedError(f"{type(node).__name__.lower()} is not traced")
        return SelectTracer(self, node, known, outer).as_table()

    def subquery(
        self,
        select: exp.Select,
        known: Mapping[str, Traced],
        outer: Joined,
        tested: exp.Expr | None = None,
        *,
        loose: bool,
    ) -> tuple[Joined, str | None]:
        """As `SelectTracer.as_subquery`, of a SELECT that stands beside rows of another."""
        return SelectTracer(self, select, known, outer).as_subquery(tested, loose=loose)

    def with_ctes(self, node: exp.Expr, known: Mapping[str, Traced]) -> Mapping[str, Traced]:
        """What is known inside of a query: its common table expressions besides."""
        clause = node.args.get("with_")
        if clause is None:
            return known
        if clause.args.get("recursive"):
            raise UntracedError("recursive queries are not traced")
        named = dict(known)
        for cte in clause.expressions:
            found = self.query(cte.this, named)
            columns = cte.args["alias"].args.get("columns")
            named[cte.alias] = self.renamed(found, [c.name for c in columns or ()])
        return named

    def renamed(self, found: Traced, names: Sequence[str]) -> Traced:
        """The same with the first columns renamed."""
        if not names:
            return found
        rest = [c.name for c in found.columns[len(names) :]]
        pairs = list(zip(found.columns, [*names, *rest], strict=True))
        kept = [f"{quoted(c.name)} as {quoted(n)}" for c, n in pairs if c.traced]
        items = ", ".join(kept) or "1 as fb_one"
        affected, every = (
            self.cte(f"select {items} from {name}") for name in (found.affected, found.every)
        )
        return Traced(
            tuple(TracedColumn(n, c.traced) for c, n in pairs), affected, every, found.still
        )

    def _set_operation(
        self, node: exp.SetOperation, known: Mapping[str, Traced], outer: Joined | None
    ) -> Traced:
        if any(node.args.get(a) for a in ("by_name", "limit", "offset")):
            raise UntracedError("UNION BY NAME, and LIMIT over all rows, are not traced")
        left, right = (self.query(q, known, outer) for q in (node.this, node.expression))
        pairs = list(zip(left.columns, right.columns, strict=True))
        kept = [(a.name, b.name) for a, b in pairs if a.traced and b.traced]
        one = ", ".join(quoted(a) for a, _ in kept) or "1 as fb_one"
        two = ", ".join(f"{quoted(b)} as {quoted(a)}" for a, b in kept) or "1 as fb_one"
        affected, every = (
            self.cte(f"select {one} from {a} union all select {two} from {b}")
            for a, b in ((left.affected, right.affected), (left.every, right.every))
        )
        columns = tuple(TracedColumn(a.name, a.traced and b.traced) for a, b in pairs)
        return Traced(columns, affected, every, left.still and right.still)

    def table(self, table: exp.Table, known: Mapping[str, Traced]) -> Traced:
        """The sets of a named relation."""
        bare = exp.Table(**{k: table.args.get(k) for k in ("this", "db", "catalog")})
        spelled = duckdb_sql(bare)
        for leaf in self.draft.leaves.values():
            if duckdb_sql(leaf_table(leaf)) == spelled:
                return self._leaf(leaf, spelled)
        if not table.db and table.name in known:
            return known[table.name]
        raise UntracedError(f"{duckdb_sql(table)} is not traced")

    def _leaf(self, leaf: Leaf, spelled: str) -> Traced:
        columns = ", ".join(quoted(c) for c in leaf.columns)
        here = f"select {columns} from {spelled}"
        gone = self.changes.went.get(leaf.name)
        changed = [self.changes.came.get(leaf.name), gone]
        written = [f"select {columns} from {relation}" for relation in changed if relation]
        return Traced(
            tuple(TracedColumn(c) for c in leaf.columns),
            self.cte(" union all ".join(written) or f"{here} where false"),
            self.cte(f"{here} union all select {columns} from {gone}" if gone else here),
            # Even what is said never to change may be compared, as a state in a database is.
            leaf.role == "static" and not any(changed),
        )
