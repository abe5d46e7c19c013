"""Find the columns by which a query joins a leaf that never changes to something else.

Such a leaf is mostly looked up in, a row per key; nothing declares its key, so a key that stands in
two rows doubles what is joined to it without a word. What it is joined by says what was meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.leaf_tables import leaf_of
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.leaf import Leaf
from feature_specs.names import fold_name


def find_join_keys(draft: Draft) -> dict[str, list[list[str]]]:
    """Name of each static leaf to the columns of each join by equality."""
    found: dict[str, dict[tuple[str, ...], None]] = {}
    for select in draft.tree.find_all(exp.Select):
        sources = _sources(select)
        if len(sources) < 2:
            continue
        keys: dict[str, dict[str, None]] = {}
        for source, column in _compared(select):
            place = _origin(draft, sources.get(source), column)
            if place is not None:
                keys.setdefault(f"{source}\0{place[0].name}", {})[place[1]] = None
        for place_name, columns in keys.items():
            found.setdefault(place_name.partition("\0")[2], {})[tuple(columns)] = None
    return {leaf: [list(columns) for columns in joins] for leaf, joins in found.items()}


def _sources(select: exp.Select) -> dict[str, exp.Expr]:
    """What stands in FROM and JOIN, by its alias."""
    items = [select.args.get("from_"), *(select.args.get("joins") or [])]
    return {item.this.alias_or_name: item.this for item in items if item is not None}


def _compared(select: exp.Select) -> Iterator[tuple[str, str]]:
    """Source and name of each column that must equal a value of another source."""
    tests = [join.args.get("on") for join in select.args.get("joins") or []]
    for part in (p for test in (*tests, select.args.get("where")) for p in conjuncts(test)):
        if not isinstance(part, exp.EQ):
            continue
        for one, other in ((part.this, part.expression), (part.expression, part.this)):
            read = {c.table for c in other.find_all(exp.Column)}
            if isinstance(one, exp.Column) and read and one.table not in read:
                yield one.table, one.name


def _origin(draft: Draft, source: exp.Expr | None, column: str) -> tuple[Leaf, str] | None:
    """The static leaf's column behind a source's, if it is passed on as it stands."""
    if isinstance(source, exp.Table):
        leaf = leaf_of(draft, source)
        if leaf is not None:
            return (leaf, column) if leaf.role == "static" else None
        cte = _cte(source)
        return None if cte is None else _through(draft, cte.this, column)
    if isinstance(source, exp.Subquery):
        return _through(draft, source.this, column)
    return None


def _through(draft: Draft, query: exp.Expr, column: str) -> tuple[Leaf, str] | None:
    """Through a query that keeps the rows of one source, or some of them."""
    if not isinstance(query, exp.Select) or any(
        query.args.get(clause) for clause in ("group", "distinct", "qualify", "limit", "joins")
    ):
        return None
    inner = next(
        (p for p in query.selects if fold_name(p.alias_or_name) == fold_name(column)), None
    )
    value = inner.unalias() if inner is not None else None
    if not isinstance(value, exp.Column):
        return None
    return _origin(draft, _sources(query).get(value.table), value.name)


def _cte(table: exp.Table) -> exp.CTE | None:
    node: exp.Expr | None = table
    while node is not None:
        held = node.args.get("with_")
        for cte in held.expressions if held is not None else ():
            if cte.alias == table.name:
                return cte if isinstance(cte, exp.CTE) else None
        node = node.parent
    return None
