"""Note how the author spells each output column: DuckDB compares names without case, and keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.names import fold_name

#: Folded name to the spelling, of the columns of a query or a table.
Spelling = Mapping[str, str]


def spell_columns(draft: Draft) -> Draft:
    """Fill ``labels`` of the output columns as DuckDB would name them.

    An alias is spelled as it is written, a plain column as the table or subquery has it. Before
    qualify_columns, which folds all names.
    """
    assert isinstance(draft.tree, exp.Query)
    return replace(draft, labels={**draft.labels, **_of_query(draft.tree, draft.spelled)})


def _of_query(query: exp.Expr | None, known: Mapping[str, Spelling]) -> Spelling:
    """Of a query's columns; ``known`` holds the tables and CTEs that it may read."""
    if isinstance(query, exp.Query) and query.ctes:
        known = dict(known)
        for cte in query.ctes:
            known[fold_name(cte.alias)] = {**_of_query(cte.this, known), **_renamed(cte)}
    if isinstance(query, exp.Subquery):
        return _of_query(query.this, known)
    if isinstance(query, exp.SetOperation):
        # BY NAME adds the right side's own columns.
        return {**_of_query(query.right, known), **_of_query(query.left, known)}
    if not isinstance(query, exp.Select):
        return {}
    sources = dict(_sources(query, known))
    out: dict[str, str] = {}
    for item in query.selects:
        for name in _names(item, sources):
            out.setdefault(fold_name(name), name)
    return out


def _sources(select: exp.Select, known: Mapping[str, Spelling]) -> Iterator[tuple[str, Spelling]]:
    """What a SELECT reads, by folded alias."""
    first = select.args.get("from_")
    for part in [first, *(select.args.get("joins") or [])]:
        yield from _of_source(part.this if part is not None else None, known)


def _of_source(
    source: exp.Expr | None, known: Mapping[str, Spelling]
) -> Iterator[tuple[str, Spelling]]:
    if source is None:
        return
    if isinstance(source, exp.Table):
        columns = known.get(fold_name(source.name), {})
    else:
        columns = _of_query(source.this if isinstance(source, exp.Subquery) else source, known)
    if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Table):
        yield from _of_source(source.this, known)  # parentheses around joined tables
    yield fold_name(source.alias_or_name), {**columns, **_renamed(source)}
    for join in source.args.get("joins") or []:
        yield from _of_source(join.this, known)


def _renamed(source: exp.Expr) -> Spelling:
    """Columns that ``as t(a, b)`` names."""
    alias = source.args.get("alias")
    columns = alias.columns if isinstance(alias, exp.TableAlias) else []
    return {fold_name(c.name): c.name for c in columns}


def _names(item: exp.Expr, sources: Mapping[str, Spelling]) -> Iterator[str]:
    """The spelling of the columns that one item of a SELECT gives; none where it has no name."""
    if isinstance(item, exp.Alias):
        yield item.alias
        return
    star = item.this if isinstance(item, exp.Column) else item
    of = (
        [sources.get(fold_name(item.table), {})]
        if isinstance(item, exp.Column) and item.table
        else sources.values()
    )
    if isinstance(star, exp.Star):
        for rename in star.args.get("rename") or []:
            yield rename.alias
        for columns in of:
            yield from columns.values()
    elif isinstance(item, (exp.Column, exp.Dot)):
        folded = fold_name(item.name)
        yield next((c[folded] for c in of if folded in c), item.name)
