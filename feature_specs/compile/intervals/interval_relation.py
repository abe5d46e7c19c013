"""A relation whose rows have lifetimes, as a common table expression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.draft import Draft, Subquery, Term, Window
from feature_specs.compile.leaves.leaf_tables import read_leaves
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.time_axis import ALWAYS, NEVER, earliest_sql, latest_sql, null_tests

START, END, ROW_ID = "fb_start", "fb_end", "fb_id"


class NoFormError(Exception):
    """The query has no interval form here; the message says why."""


@dataclass(frozen=True)
class IntervalRelation:
    """Rows with lifetimes: ``columns``, ``fb_start`` and ``fb_end`` on the microsecond axis.

    Attributes:
        never_ends: no row ever ends.
        static: every row lives always.
        unique: columns that tell apart the rows alive at one instant, where that is proved.
        appended: a column by whose value rows start, in order, a fixed time after it.
    """

    name: str
    columns: tuple[str, ...]
    never_ends: bool = False
    static: bool = False
    unique: frozenset[str] | None = None
    appended: str | None = None

    def window(self, alias: str) -> Window:
        """The lifetimes of its rows where it stands in FROM under ``alias``."""
        if self.static:
            return Window()
        start = Term(exp.column(START, table=alias, quoted=True), on_axis=True)
        end = Term(exp.column(END, table=alias, quoted=True), on_axis=True)
        return Window((start,), () if self.never_ends else (end,))


class CteBuilder:
    """The common table expressions made for one view, in order."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.made: list[Subquery] = []

    def add(self, hint: str, sql: str) -> str:
        """Keep a query under a name of its own; returns the name, unquoted."""
        name = f"{self.draft.view.name}__{len(self.made) + 1}_{hint}"
        self.made.append(Subquery(f'"{name}"', sql))
        return name


def physical(
    draft: Draft,
    source: exp.Select,
    window: Window,
    items: Mapping[str, exp.Expr],
    *,
    row_id: bool = False,
    constants: Mapping[str, str] | None = None,
) -> str:
    """SQL of a source's rows with their lifetimes; rows that never live are left out.

    Args:
        row_id: number the rows, as ``fb_id``.
        constants: further columns, as SQL.
    """
    start = latest_sql(window.starts) or str(ALWAYS)
    end = earliest_sql(window.ends) or str(NEVER)
    select = [f'{duckdb_sql(node)} as "{name}"' for name, node in items.items()]
    select += [f'{sql} as "{name}"' for name, sql in (constants or {}).items()]
    select += [f"{start} as {START}", f"{end} as {END}"]
    if row_id:
        select.append(f"row_number() over () as {ROW_ID}")
    tests = null_tests([*window.starts, *window.ends])
    if window.ends and not (window.width or 0) > 0:
        tests.append(f"{start} < {end}")
    query = source.copy()
    for text in select:
        query = query.select(text, dialect=DUCKDB, copy=False)
    for test in tests:
        query = query.where(test, dialect=DUCKDB, copy=False)
    read_leaves(draft, query)
    return duckdb_sql(query)


def union_all(queries: Iterable[str]) -> str:
    """SQL of several queries one after the other."""
    return " union all ".join(queries)


def listed(columns: Iterable[str], alias: str | None = None) -> str:
    """A select list of quoted columns, each followed by a comma."""
    prefix = f"{alias}." if alias else ""
    return "".join(f'{prefix}"{c}", ' for c in columns)
