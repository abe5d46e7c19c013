"""What is known of a relation whose changes are traced, and the expressions over it that can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.sql.clock import is_clock
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.quote import quoted

_PREDICATES = (exp.Predicate, exp.Between, exp.In, exp.Is)


class UntracedError(Exception):
    """Keys cannot be traced; says what stands in the way, and what to write instead."""


@dataclass(frozen=True)
class TracedColumn:
    """A column of a relation; whether it is an expression of leaf columns, of one row each."""

    name: str
    traced: bool = True


@dataclass(frozen=True)
class Traced:
    """A relation's columns in order, and names of its affected rows and of every row.

    Attributes:
        still: it neither changes with time nor, as long as static leaves stay, with data.
    """

    columns: tuple[TracedColumn, ...]
    affected: str
    every: str
    still: bool = False

    @property
    def traced(self) -> list[str]:
        return [c.name for c in self.columns if c.traced]


@dataclass(frozen=True)
class Joined:
    """What stands behind FROM: columns are named ``alias.column`` in both relations.

    Attributes:
        columns: alias to column to whether it is traced; a name that is not listed is not.
    """

    columns: Mapping[str, Mapping[str, bool]]
    affected: str
    every: str
    still: bool = False

    def place(self, column: exp.Column) -> str | None:
        """The name of a traced column; None where it is not traced, or not of this relation."""
        if column.table:
            found = self.columns.get(column.table, {}).get(column.name)
            return f"{column.table}.{column.name}" if found else None
        holders = [alias for alias, held in self.columns.items() if column.name in held]
        if len(holders) != 1 or not self.columns[holders[0]][column.name]:
            return None
        return f"{holders[0]}.{column.name}"

    @property
    def names(self) -> list[str]:
        return [f"{a}.{c}" for a, held in self.columns.items() for c, kept in held.items() if kept]


def render(node: exp.Expr, here: Joined, side: str, outer: Joined | None = None) -> str | None:
    """SQL of an expression of one row over traced columns; None where it is more than that.

    Args:
        side: the alias under which ``here`` is read; outer columns are read as ``o``.
    """
    more = (exp.Query, exp.Subquery, exp.Exists, exp.AggFunc, exp.Window, exp.Star)
    if node.find(*more) is not None:
        return None
    made = node.copy()
    for column in [made] if isinstance(made, exp.Column) else list(made.find_all(exp.Column)):
        name, alias = here.place(column), side
        if name is None and outer is not None and column.table not in here.columns:
            name, alias = outer.place(column), "o"
        if name is None:
            return None
        new = exp.column(name, table=alias, quoted=True)
        if column is made:
            made = new
        else:
            column.replace(new)
    return duckdb_sql(made)


def in_tests(
    tested: exp.Expr, outer: Joined, mine: Sequence[str | None], *, loose: bool
) -> list[str]:
    """SQL of the outer rows ``o`` to whose IN a row of the subquery may matter.

    Args:
        tested: what is IN the subquery: a value, or several in parentheses.
        mine: SQL of each of the subquery's columns; None where it is not traced.
        loose: whether nulls on either side matter, as they do among several values.
    """
    values = tested.expressions if isinstance(tested, exp.Tuple) else [tested]
    loose = loose or len(values) > 1
    pairs = [(render(v, outer, "o"), m) for v, m in zip(values, mine, strict=False)]
    tests = [f"{theirs} = {m}" for theirs, m in pairs if theirs is not None and m is not None]
    return [f"coalesce({t}, true)" for t in tests] if loose else tests


def clock_predicates(node: exp.Expr, clocks: Sequence[exp.Expr] | None = None) -> list[exp.Expr]:
    """The predicates within an expression that read the clock.

    Args:
        clocks: which clocks in it; by default all that stand in no subquery.

    Raises:
        UntracedError: the clock is a quantity there.
    """
    found: dict[exp.Expr, None] = {}
    for clock in own_clocks(node) if clocks is None else clocks:
        best: exp.Expr | None = None
        part: exp.Expr | None = clock
        while part is not None:
            if isinstance(part, _PREDICATES):
                best = part
                break
            if part is node:
                break
            part = part.parent
        if best is None:
            raise UntracedError(
                f"the clock is a quantity in {duckdb_sql(node)}, so that any entity may change at "
                "any time; compare times with the clock instead"
            )
        found[best] = None
    return list(found)


def own_clocks(node: exp.Expr, *without: type[exp.Expr]) -> list[exp.Expr]:
    """The clocks in an expression that stand in no subquery, and in no node of some kinds."""
    found: list[exp.Expr] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (exp.Query, exp.Subquery, exp.Exists, *without)):
            continue
        if is_clock(part):
            found.append(part)
        waiting += list(part.iter_expressions())
    return found


def subqueries_of(node: exp.Expr) -> Iterator[exp.Expr]:
    """The outermost subqueries in an expression: EXISTS, IN with a query, or a scalar one."""
    if isinstance(node, exp.Exists) or (isinstance(node, exp.In) and node.args.get("query")):
        yield node
        if isinstance(node, exp.In):
            yield from subqueries_of(node.this)
        return
    if isinstance(node, (exp.Subquery, exp.Query)):
        yield node
        return
    for child in node.iter_expressions():
        yield from subqueries_of(child)


def listed(names: list[str], side: str | None = None, *, null: frozenset[str] = frozenset()) -> str:
    """A select list of columns, of which some are null."""
    before = f"{side}." if side else ""
    items = [
        f"null as {quoted(n)}" if n in null else f"{before}{quoted(n)} as {quoted(n)}"
        for n in names
    ]
    return ", ".join(items) or "1 as fb_one"
