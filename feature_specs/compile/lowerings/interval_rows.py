"""Write the interval form as SQL: each source row with its key, columns and lifetimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Draft, IntervalForm, Window
from feature_specs.compile.leaves.leaf_tables import read_leaves
from feature_specs.compile.sql.conjuncts import narrow
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.time_axis import ALWAYS, earliest_sql, latest_sql, null_tests

#: The row count of a group, which exists while it is not 0.
MEMBERS = "fb_members"


@dataclass(frozen=True)
class IntervalRows:
    """SQL of the rows, and the names under which the lowerings find what they need.

    Attributes:
        sql: a SELECT of the key columns, ``fb_start<i>``, ``fb_end<i>`` and the source's columns.
        starts, ends: for each window its column names; an end of None never comes.
        passed: the source's columns, quoted.
    """

    sql: str
    windows: tuple[Window, ...]
    starts: tuple[str, ...]
    ends: tuple[str | None, ...]
    passed: tuple[str, ...] = ()

    def place(self, window: Window) -> int:
        return self.windows.index(window)


def interval_rows(
    draft: Draft,
    form: IntervalForm,
    relations: Mapping[str, str] | None = None,
    *,
    nullable: Sequence[str] | None = None,
) -> IntervalRows:
    """Write the form's rows.

    Args:
        relations: leaf name to another relation to read in its place (rows just added, say).
        nullable: names of the keys where they are a nested group's, which may be null; the keys
            are the view's entities otherwise, and a row with a null among them belongs to no entity.
    """
    windows = tuple(dict.fromkeys([form.window, *(c.window for c in form.aggregates)]))
    names = draft.view.entities if nullable is None else nullable
    select: list[str] = [
        f'{duckdb_sql(k)} as "{name}"' for k, name in zip(form.keys, names, strict=True)
    ]
    starts: list[str] = []
    ends: list[str | None] = []
    known: dict[tuple[str, str], str] = {}
    for i, window in enumerate(windows):
        start = latest_sql(window.starts) or str(ALWAYS)
        end = earliest_sql(window.ends)
        for kind, text in (("start", start), ("end", end)):
            if text is not None and (kind, text) not in known:
                known[kind, text] = f"fb_{kind}{i}"
                select.append(f"{text} as fb_{kind}{i}")
        starts.append(known["start", start])
        ends.append(known["end", end] if end is not None else None)
    used = {f'"{passed_name(c)}"': c for c in _columns_used(form)}
    select += [f"{duckdb_sql(c)} as {name}" for name, c in used.items()]
    query = form.source.copy()
    tests = [f"not {duckdb_sql(k)} is null" for k in form.keys if nullable is None]
    tests += null_tests([*form.window.starts, *form.window.ends])
    if form.event_time is not None:
        tests.append(f"not {duckdb_sql(form.event_time)} is null")
    if form.window.ends and not (form.window.width or 0) > 0:
        tests.append(
            f"{latest_sql(form.window.starts) or ALWAYS} < {earliest_sql(form.window.ends)}"
        )
    # The text is SQLGlot's own already, so it is put in as it stands.
    query.set("expressions", [exp.var(text) for text in select])
    for test in dict.fromkeys(tests):
        query = narrow(query, test)
    read_leaves(draft, query, relations)
    return IntervalRows(
        with_prelude(form, duckdb_sql(query)), windows, tuple(starts), tuple(ends), tuple(used)
    )


def with_prelude(form: IntervalForm, sql: str) -> str:
    """A query with the common table expressions that its source reads."""
    made = ", ".join(f"{q.name} as materialized ({q.sql})" for q in form.prelude)
    return f"with {made} {sql}" if made else sql


def passed_name(column: exp.Column) -> str:
    """The name under which a source column is passed on."""
    return f"{column.table}__{column.name}"


def over_rows(node: exp.Expr, table: str | None = None) -> exp.Expr:
    """An expression over the source, rewritten over the rows' columns."""
    if isinstance(node, exp.Column):
        return exp.column(passed_name(node), table=table, quoted=True) if node.table else node
    made = node.copy()
    for column in list(made.find_all(exp.Column)):
        if column.table:
            column.set("this", exp.to_identifier(passed_name(column), quoted=True))
            column.set("table", exp.to_identifier(table, quoted=True) if table else None)
    return made


def condition_of(form: IntervalForm, part: AggregateCall) -> exp.Expr | None:
    """The condition under which a row counts in an aggregate besides its lifetime: FILTER, and known bounds."""
    beyond = [t for t in _instants(part.window) if t not in _instants(form.window)]
    tests: list[exp.Expr] = [
        exp.Not(this=exp.Is(this=t.copy(), expression=exp.Null())) for t in beyond
    ]
    if part.condition is not None:
        tests.insert(0, part.condition)
    return over_rows(exp.and_(*tests)) if tests else None


def members(form: IntervalForm) -> AggregateCall:
    """count(*) of the group, which tells whether it exists."""
    return AggregateCall(MEMBERS, exp.Count(this=exp.Star()), None, form.window)


def _instants(window: Window) -> list[exp.Expr]:
    terms = (*window.starts, *window.ends)
    return list(dict.fromkeys(t.instant for t in terms if not t.on_axis))


def _columns_used(form: IntervalForm) -> list[exp.Column]:
    nodes: list[exp.Expr] = []
    for part in form.aggregates:
        nodes += [part.function, *([part.condition] if part.condition is not None else [])]
        nodes += [t for t in _instants(part.window) if t not in _instants(form.window)]
    if not form.grouped:
        nodes += [*form.columns.values(), *form.tie_break]
        nodes += [form.event_time] if form.event_time is not None else []
        nodes += [term.instant for term in form.visible]
    found = {passed_name(c): c for n in nodes for c in n.find_all(exp.Column) if c.table}
    return list(found.values())
