"""Arrays of a fixed size are stored and joined as lists, and their types kept aside.

DuckDB 2.0 loses the nulls of an ARRAY column in an outer join: of a row without a match it reads
memory that nobody wrote ("Cannot cast list with length 140066740154368 to array with length 2").
Iceberg has lists only. So a statement of ours carries lists, whose lengths the author's cast to the
array has checked, and the catalogue and the matrix of a training set have the declared type.
"""

from __future__ import annotations

import re
from dataclasses import replace

import duckdb
from sqlglot import exp

from feature_specs.compile.describe.sample_tables import TABLES
from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.bound_leaves import bound_leaves
from feature_specs.compile.sql.aggregate_calls import is_window_function, whole_call
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.select_item import select_item
from feature_specs.compile.sql.time_axis import instant_parameter
from feature_specs.errors import CompileError
from feature_specs.sql_types import lists_of

#: What may make an array: a size, or one of DuckDB's two functions that return one.
_MAY_MAKE = re.compile(r"\[\s*\d+\s*\]|\barray_(?:value|cross_product)\b", re.IGNORECASE)

#: What the aggregates are called where DuckDB is asked for their types.
_CALL = "fb_call"


def keep_arrays_as_lists(draft: Draft) -> Draft:
    """Cast stored items that are arrays, or hold some, to lists, and fill ``arrays``.

    Raises:
        CompileError: a part of a UNION makes arrays, or an aggregate gives one, which would go
            through joins before the item is computed.

    >>> show(keep_arrays_as_lists, "select k, array_value(x, 1) as pair from events")
    SELECT "events"."k" AS "k", CAST(ARRAY_VALUE("events"."x", 1) AS INT[]) AS "pair" FROM
    "events" AS "events"
    """
    columns = (kind for leaf in draft.leaves.values() for kind in leaf.columns.values())
    if not any(map(_MAY_MAKE.search, (duckdb_sql(draft.stored), *columns))):
        return draft
    calls = _aggregates(draft.stored)
    types = _types(draft, calls)
    _refuse_aggregates(draft, calls, types)
    arrays = {name: kind for name, kind in types.items() if lists_of(kind) != kind}
    if not arrays:
        return draft
    stored = draft.stored.copy()
    if not isinstance(stored, exp.Select):
        name, kind = next(iter(arrays.items()))
        raise CompileError(
            f"{draft.label(name)!r} is of type {kind}, an array of a fixed size, in a {stored.key}",
            where=draft.file,
            hint=f"cast it to {lists_of(kind)} in each part, or select from the {stored.key} and cast there",
        )
    items = [
        select_item(_as_list(item.unalias(), arrays[item.alias]), item.alias)
        if item.alias in arrays
        else item
        for item in stored.selects
    ]
    stored.set("expressions", items)
    return replace(draft, stored=stored, arrays=arrays)


def _as_list(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(lists_of(kind), dialect=DUCKDB))


def _aggregates(query: exp.Query) -> list[exp.Expr]:
    """The aggregates of the outermost select list."""
    items = query.selects if isinstance(query, exp.Select) else []
    calls = (call for item in items for call in item.find_all(exp.AggFunc))
    return [call for call in calls if call.find_ancestor(exp.Query) is query]


def _refuse_aggregates(draft: Draft, calls: list[exp.Expr], types: dict[str, str]) -> None:
    for number, call in enumerate(calls):
        kind = types.pop(f"{_CALL}{number}", "")
        if lists_of(kind) != kind:
            raise CompileError(
                f"{duckdb_sql(call)} is of type {kind}, an array of a fixed size",
                where=draft.locate(call),
                hint="aggregate lists, and cast what comes out: cast(max(e) as float[4])",
            )


def _types(draft: Draft, calls: list[exp.Expr]) -> dict[str, str]:
    """Types of the stored columns and of the aggregates; none where DuckDB refuses the query.

    That is told later.
    """
    query = draft.stored.copy()
    if calls:
        items = [select_item(_in_window(c), f"{_CALL}{n}") for n, c in enumerate(calls)]
        query.set("expressions", [*query.selects, *items])
    sql = duckdb_sql(bound_leaves(draft, query, instant_parameter("as_of")))
    with TABLES.lock:
        for leaf in draft.leaves.values():
            TABLES.make(leaf, draft.file)
        try:
            return TABLES.describe(sql)
        except duckdb.Error:
            return {}


def _in_window(call: exp.Expr) -> exp.Expr:
    """A copy of a call, in its window where it has one."""
    whole = whole_call(call)
    return (whole.parent if is_window_function(call) and whole.parent else whole).copy()
