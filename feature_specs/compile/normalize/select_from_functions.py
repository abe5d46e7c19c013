"""Replace every table function in FROM by a subquery that gives the same rows.

``range(7) as d(n)`` becomes ``(select unnest(range(0, 7)) as n) as d``, lateral where its arguments
are columns. What follows then knows one shape: rows that depend on nothing, or on a row beside them.
"""

from __future__ import annotations

from typing import NoReturn

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.errors import CompileError
from feature_specs.names import fold_name

#: Columns of what takes JSON apart, as DuckDB names them.
_OF_JSON = ("key", "value", "type", "atom", "id", "parent", "fullkey", "path")
_JSON = ("json_each", "json_tree")


def select_from_functions(draft: Draft, tree: exp.Expr) -> None:
    """Rewrite a text in place; in FROM a function's columns are DuckDB's.

    Raises:
        CompileError: the function reads anything but its arguments, or has a step that may be 0.
    """
    for source in list(tree.find_all(exp.Table, exp.Lateral, exp.Unnest)):
        call = source if isinstance(source, exp.Unnest) else source.this
        if isinstance(call, (exp.Identifier, exp.Query)):
            continue
        if isinstance(call, exp.Unnest):
            _select_unnested(draft, source, call)
        elif draft.dialect != "duckdb" or source.args.get("ordinality"):
            _refuse(draft, source)
        elif isinstance(call, exp.GenerateSeries):
            name = "range" if call.args.get("is_end_exclusive") else "generate_series"
            _check_step(draft, source, call)
            _replace(source, call, name, _one_column(source, call, name))
        elif isinstance(call, exp.Anonymous) and call.name.lower() in _JSON:
            _replace(source, call, call.name.lower(), _json_rows(draft, source, call))
        else:
            _refuse(draft, source)


def _select_unnested(draft: Draft, source: exp.Expr, call: exp.Unnest) -> None:
    """A list; other dialects make several columns of a map or a list of rows."""
    of_from = isinstance(call.parent, (exp.From, exp.Join, exp.Lateral))
    plain = len(call.expressions) == 1 and not call.args.get("offset")
    if draft.dialect == "duckdb" and of_from and plain and len(_columns_of(source)) < 2:
        if source is call and isinstance(call.parent, exp.Lateral):
            return  # replaced with what it stands in
        _replace(source, call, "unnest", _one_column(source, call.expressions[0], "unnest"))


def _replace(source: exp.Expr, call: exp.Expr, name: str, select: exp.Select) -> None:
    query = exp.Subquery(this=select)
    made = exp.Lateral(this=query) if call.find(exp.Column) else query
    alias = exp.to_identifier(_alias_of(source) or name)
    made.set("alias", exp.TableAlias(this=alias))
    for part in ("joins", "sample", "pivots"):
        if source.args.get(part):
            made.set(part, source.args[part])
    made.meta.update(source.meta)
    source.replace(made)


def _one_column(source: exp.Expr, values: exp.Expr, name: str) -> exp.Select:
    """The column has the name by which it is read: one of its own, the table's or the function's."""
    given = _columns_of(source)
    if given:
        column = given[0].copy()
    else:
        table = _alias_of(source) or name
        query = source.find_ancestor(exp.Select)
        read = query.find_all(exp.Column) if query is not None else ()
        ways = ("", fold_name(table))
        own = any(fold_name(c.name) == name and fold_name(c.table) in ways for c in read)
        column = exp.to_identifier(name if own else table)
    return exp.Select(expressions=[exp.alias_(exp.Explode(this=values.copy()), column)])


def _json_rows(draft: Draft, source: exp.Expr, call: exp.Anonymous) -> exp.Select:
    given = _columns_of(source)
    if len(given) > len(_OF_JSON):
        _refuse(draft, source, f"name at most {len(_OF_JSON)} columns")
    call = call.copy()
    for column in call.find_all(exp.Column):
        if not column.table:
            # SQLGlot qualifies no argument of a function that stands in FROM.
            column.set("table", exp.to_identifier(_only_table(draft, source, column)))
    name = call.name.lower()
    names = [*given, *map(exp.to_identifier, _OF_JSON[len(given) :])]
    items = [
        exp.alias_(exp.column(own, table=name, quoted=True), column.copy())
        for own, column in zip(_OF_JSON, names, strict=True)
    ]
    table = exp.Table(this=call, alias=exp.TableAlias(this=exp.to_identifier(name)))
    return exp.Select(expressions=items).from_(table)


def _only_table(draft: Draft, source: exp.Expr, column: exp.Column) -> str:
    """The table before a function in FROM, where no other table could have the column."""
    query = source.find_ancestor(exp.Select)
    start = query.args.get("from_") if query is not None else None
    parts = [start.this] if start is not None else []
    parts += [j.this for j in (query.args.get("joins") or [])] if query is not None else []
    before = parts[: next((i for i, part in enumerate(parts) if part is source), 0)]
    if len(before) != 1 or not before[0].alias_or_name:
        _refuse(draft, source, f"write the table before its column: t.{column.name}")
    return str(before[0].alias_or_name)


def _columns_of(source: exp.Expr) -> list[exp.Identifier]:
    given = source.args.get("alias")
    named = given.columns if isinstance(given, exp.TableAlias) else ()
    return [c for c in named if isinstance(c, exp.Identifier)]


def _alias_of(source: exp.Expr) -> str:
    given = source.args.get("alias")
    return given.name if isinstance(given, exp.TableAlias) else ""


def _check_step(draft: Draft, source: exp.Expr, call: exp.GenerateSeries) -> None:
    """In FROM a step of 0 is an error, where a list has no values."""
    step = call.args.get("step")
    if step is None:
        return
    if step.find(exp.Column, exp.Query):
        _refuse(draft, source, "write its step as a number or an interval")
    digits = [str(node.this) for node in step.find_all(exp.Literal)]
    if digits and not any(c in "123456789" for text in digits for c in text):
        _refuse(draft, source, "write a step that is not 0")


def _refuse(
    draft: Draft, source: exp.Expr, hint: str = "read a source, seed, snapshot or model instead"
) -> NoReturn:
    call = source.this.sql(draft.dialect or DUCKDB)
    raise CompileError(
        f"a table function stands in FROM: {call}", where=draft.locate(source), hint=hint
    )
