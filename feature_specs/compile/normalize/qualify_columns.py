"""Give every column its table, expand stars, and refuse names that are not there."""

from __future__ import annotations

import re
from dataclasses import replace

from sqlglot import exp
from sqlglot.errors import OptimizeError, SchemaError
from sqlglot.optimizer.qualify import qualify

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.errors import CompileError, Location, did_you_mean, first_line

#: SQLGlot's names of items that have none.
_MADE_UP = re.compile(r"_col_\d+")


def qualify_columns(draft: Draft) -> Draft:
    """Qualify with the leaves' own columns as the schema.

    Raises:
        CompileError: a column does not exist or is ambiguous; two output columns share a name, or one
            has no name, or a quotation mark in it.

    >>> show(qualify_columns, "select e.k, v.plan from events e join versions v using (k)")
    SELECT "e"."k" AS "k", "v"."plan" AS "plan" FROM "events" AS "e" JOIN "versions" AS "v"
    ON "e"."k" = "v"."k"
    """
    try:
        tree = qualify(draft.tree.copy(), schema=draft.schema, dialect=DUCKDB)
    except (OptimizeError, SchemaError) as error:
        raise _explain(draft, error) from None
    for node in tree.walk():
        node._meta = node._meta or None  # SQLGlot's own questions leave empty notes behind
    for select in tree.find_all(exp.Select):
        _expand_group_by_all(select)
    assert isinstance(tree, exp.Query)
    names = tree.named_selects
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise CompileError(
            f"two columns are named {twice[0]!r}", where=draft.file, hint="give each its own alias"
        )
    made = next((n for n in names if _MADE_UP.fullmatch(n) and n not in draft.labels), None)
    if made is not None:
        raise CompileError(
            "a feature that comes through * has no name",
            where=draft.file,
            hint="give it an alias where it is computed: `... as n`",
        )
    odd = next((n for n in names if '"' in n), None)
    if odd is not None:
        raise CompileError(
            f"column {odd!r} has a quotation mark in its name",
            where=draft.file,
            hint="give it an alias without one",
        )
    return replace(draft, tree=tree)


def _expand_group_by_all(select: exp.Select) -> None:
    group = select.args.get("group")
    if group is not None and group.args.get("all"):
        keys = [s.unalias().copy() for s in select.selects if not s.find(exp.AggFunc)]
        group.set("all", None)
        group.set("expressions", keys)


def _explain(draft: Draft, error: Exception) -> CompileError:
    text = first_line(error)
    place = re.search(r"Line: (\d+), Col: (\d+)", text)
    name = re.search(r"[Cc]olumn '?\"?([\w.\"]+?)\"?'? could not be resolved", text)
    line, column = (int(place[1]), int(place[2])) if place else (None, None)
    where = Location(draft.file, line, column)
    if name:
        bare = name[1].replace('"', "").split(".")[-1]
        known = {c for leaf in draft.leaves.values() for c in leaf.columns}
        if bare in known:
            return CompileError(
                f"column {bare!r} is ambiguous, or belongs to no table in reach",
                where=where,
                hint=f"write the table before it, as in t.{bare}",
            )
        return CompileError(
            f"there is no column {bare!r}", where=where, hint=did_you_mean(bare, known)
        )
    return CompileError(
        text.split(". Line:")[0], where=where, hint="write each column as table.column"
    )
