"""A SELECT on its way to its interval form: what is still to be read, and the rows so far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import Window
from feature_specs.compile.intervals.clip_clock import clip_clock
from feature_specs.compile.intervals.interval_relation import CteBuilder, IntervalRelation, physical
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import DUCKDB

#: Queries that a SELECT reads, by the names of its CTEs.
Names = Mapping[str, Callable[[], IntervalRelation]]


@dataclass
class Block:
    """The state of one SELECT.

    Attributes:
        tree: a copy of the SELECT, its columns rewritten as sources become CTEs.
        source: FROM, joins and the conditions that hold rows back.
        window: when a row of the source lives.
        columns: alias to the columns that it has in the source.
        unique: columns (alias, name) of which no two living rows share the values, if proved.
        appended: a column by whose value rows start, in order, a fixed time after it.
    """

    ctes: CteBuilder
    tree: exp.Select
    names: Names
    source: exp.Select = field(default_factory=exp.Select)
    window: Window = field(default_factory=Window)
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unique: frozenset[tuple[str, str]] | None = None
    appended: exp.Column | None = None
    materialized: str = ""

    def used(self, alias: str) -> tuple[str, ...]:
        """Columns of an alias that the SELECT still speaks of."""
        found = (c.name for c in self.tree.find_all(exp.Column) if c.table == alias)
        return tuple(dict.fromkeys(found))

    def reads_only(self, node: exp.Expr, aliases: Collection[str] | None = None) -> bool:
        """No column of the node stands outside some aliases, those of the source by default."""
        known = self.columns if aliases is None else aliases
        return all(c.table in known for c in node.find_all(exp.Column))

    def add_table(self, table: exp.Expr, alias: str, columns: tuple[str, ...]) -> None:
        """Put a table beside what FROM has."""
        named = table.copy()
        named.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        if not self.columns:
            self.source = self.source.from_(named)
        else:
            self.source.append("joins", exp.Join(this=named, kind="CROSS"))
        self.columns[alias] = columns

    def add_relation(self, relation: IntervalRelation, alias: str) -> None:
        """Put rows with lifetimes beside what FROM has."""
        first = not self.columns
        self.add_table(exp.to_table(f'"{relation.name}"', dialect=DUCKDB), alias, relation.columns)
        self.window = self.window.clip(relation.window(alias))
        self.add_unique(alias, relation.unique)
        self.appended = None
        if first and relation.appended is not None:
            self.appended = exp.column(relation.appended, table=alias, quoted=True)

    def add_unique(self, alias: str, unique: frozenset[str] | None) -> None:
        """Rows are identified by what identifies the rows of both sides."""
        theirs = frozenset((alias, c) for c in unique) if unique is not None else None
        if len(self.columns) == 1:
            self.unique = theirs
        else:
            both = self.unique is not None and theirs is not None
            self.unique = (self.unique or frozenset()) | (theirs or frozenset()) if both else None

    def keep(self, test: exp.Expr) -> bool:
        """Filter rows by a condition; False where it uses the clock as more than a plain bound."""
        if not has_clock(test):
            self.source = self.source.where(test, copy=False)
            return True
        clip = clip_clock(test)
        if clip is None:
            return False
        self.window = self.window.clip(clip)
        return True

    def take_where(self, aliases: Collection[str] | None = None) -> None:
        """Apply the conditions of WHERE that speak of the source (or only of some aliases)."""
        kept: list[exp.Expr] = []
        where = self.tree.args.get("where")
        for test in list(conjuncts(where)):
            ready = not test.find(exp.Query, exp.Window) and self.reads_only(test, aliases)
            if not (ready and self.keep(test.copy())):
                kept.append(test)
        self.tree.set("where", exp.Where(this=exp.and_(*kept)) if kept else None)

    def substitute(self, alias: str, column: str, value: exp.Expr) -> None:
        """Let the SELECT read a value in place of a column."""
        self.tree = self.tree.transform(  # type: ignore[assignment]
            lambda n: (
                value.copy()
                if isinstance(n, exp.Column) and n.table == alias and n.name == column
                else n
            ),
            copy=False,
        )

    def rename(self, new: Mapping[tuple[str, str], exp.Column]) -> None:
        """Let the SELECT speak of columns under their new names."""

        def moved(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Column) and (node.table, node.name) in new:
                column = new[node.table, node.name].copy()
                column.type = node.type
                column.meta.update(
                    {k: v for k, v in node.meta.items() if k in ("line", "col", "file")}
                )
                return column
            return node

        self.tree = self.tree.transform(moved, copy=False)  # type: ignore[assignment]

    def materialize(self, hint: str, *, row_id: bool = False) -> str:
        """Make the source one CTE of rows with lifetimes; returns its name, unquoted."""
        wanted = self.wanted()
        items = {n: exp.column(c, table=a, quoted=True) for (a, c), n in wanted.items()}
        sql = physical(self.ctes.draft, self.source, self.window, items, row_id=row_id)
        name = self.ctes.add(hint, sql)
        self.read_from_cte(
            name,
            wanted,
            never_ends=self.window.never_ends and bool(self.window.starts),
            static=self.window == Window(),
        )
        return name

    def materialize_with(self, hint: str, tests: Sequence[exp.Expr]) -> tuple[str, list[exp.Expr]]:
        """Materialize with numbered rows, and return conditions rewritten to read the CTE."""
        items = list(self.tree.expressions)
        self.tree.set("expressions", [*items, *(t.copy() for t in tests)])
        name = self.materialize(hint, row_id=True)
        renamed = self.tree.expressions
        self.tree.set("expressions", renamed[: len(items)])
        return name, renamed[len(items) :]

    def wanted(self) -> dict[tuple[str, str], str]:
        """Columns that are still needed, and their names in the CTE."""
        needed = [(a, c) for a, known in self.columns.items() for c in self.used(a) if c in known]
        needed += self.unique or ()
        needed += [(self.appended.table, self.appended.name)] if self.appended is not None else []
        return {(a, c): f"{a}__{c}" for a, c in dict.fromkeys(needed)}

    def read_from_cte(
        self,
        name: str,
        renamed: Mapping[tuple[str, str], str],
        extra: Sequence[str] = (),
        *,
        never_ends: bool = False,
        static: bool = False,
    ) -> None:
        """Read a CTE in place of the source so far.

        Args:
            renamed: column of the source to the CTE's column that holds it.
            extra: columns that the CTE has besides.
        """
        alias = f"fb_s{len(self.ctes.made)}"
        new = {old: exp.column(c, table=alias, quoted=True) for old, c in renamed.items()}
        self.rename(new)
        if self.unique is not None:
            known = self.unique <= new.keys()
            self.unique = frozenset((alias, renamed[u]) for u in self.unique) if known else None
        if self.appended is not None:
            self.appended = new.get((self.appended.table, self.appended.name))
        unique, appended = self.unique, self.appended
        self.source, self.window, self.columns = exp.Select(), Window(), {}
        columns = (*dict.fromkeys(renamed.values()), *extra)
        self.add_relation(IntervalRelation(name, columns, never_ends, static), alias)
        self.unique, self.appended, self.materialized = unique, appended, alias

    def own_columns(self) -> dict[tuple[str, str], str]:
        """The columns of the CTE under the names that they have, for ``read_from_cte``."""
        return {(self.materialized, c): c for c in self.columns[self.materialized]}

    def expressions(self) -> Iterator[exp.Expr]:
        """The parts of the SELECT that come after WHERE."""
        for key in ("expressions", "group", "having", "qualify"):
            value = self.tree.args.get(key)
            yield from value if isinstance(value, list) else [value] if value is not None else []
