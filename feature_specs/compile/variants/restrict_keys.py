"""Push the keys that are wanted down a query, so that the rows of others are not computed.

F(D, T) of some entities is F(D, T) with the others left out. They are left out as early as that
changes nothing: before a group whose keys hold the entity's, before window functions whose
partitions do, in each side of a set operation, and in each relation that the entity's columns come
from or are equal to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from feature_specs.compile.sql.conjuncts import conjuncts, narrow
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.quote import quoted


def restrict_keys(query: exp.Query, keys: Mapping[str, str], only: str) -> exp.Query:
    """A copy of a query whose rows are at least those with a key that is wanted.

    Args:
        keys: columns of the query to columns of ``only``.
        only: a relation of the keys that are wanted.
    """
    made = query.copy()
    _restrict(made, list(keys.items()), only, {})
    return made


def _restrict(
    node: exp.Expr, keys: Sequence[tuple[str, str]], only: str, known: Mapping[str, exp.Query]
) -> None:
    """The same in place."""
    while isinstance(node, (exp.Subquery, exp.Paren)):
        node = node.this
    if isinstance(node, exp.Query) and node.args.get("with_"):
        known = {**known, **{c.alias: c.this for c in node.args["with_"].expressions}}
    if isinstance(node, exp.SetOperation):
        if node.args.get("by_name") or node.args.get("limit") or node.args.get("offset"):
            return
        names = [s.alias_or_name for s in node.left.selects]
        others = [s.alias_or_name for s in node.right.selects]
        if not all(name in names for name, _ in keys) or len(set(names)) < len(names):
            return
        _restrict(node.this, keys, only, known)
        _restrict(node.expression, [(others[names.index(n)], k) for n, k in keys], only, known)
    elif isinstance(node, exp.Select):
        _restrict_select(node, keys, only, known)


def _restrict_select(
    node: exp.Select, keys: Sequence[tuple[str, str]], only: str, known: Mapping[str, exp.Query]
) -> None:
    items = {s.alias_or_name: s.unalias() for s in node.selects}
    if any(name not in items for name, _ in keys):
        return
    wanted = [(items[name], key) for name, key in keys]
    if not all(_passes(node, item) for item, _ in wanted):
        return
    listed = ", ".join(quoted(key) for _, key in keys)
    spelled = ", ".join(duckdb_sql(item) for item, _ in wanted)
    narrow(node, f"({spelled}) in (select ({listed}) from {only})")
    _restrict_sources(node, wanted, only, known)


def _passes(node: exp.Select, item: exp.Expr) -> bool:
    """Whether rows of one value of an item neither see nor count those of another."""
    if item.find(exp.AggFunc, exp.Window, exp.Query, exp.CurrentTimestamp) is not None:
        return False
    if item.find(exp.Column) is None or node.args.get("limit") or node.args.get("offset"):
        return False
    group = node.args.get("group")
    if group is not None and item not in group.expressions:
        return False
    parts = [*node.selects, *(node.args[a] for a in ("having", "qualify") if node.args.get(a))]
    windows = [w for part in parts for w in part.find_all(exp.Window)]
    if any(item not in (w.args.get("partition_by") or []) for w in windows):
        return False
    if group is None and any(
        not isinstance(call.find_ancestor(exp.Window, exp.Select), exp.Window)
        for part in parts
        for call in part.find_all(exp.AggFunc)
    ):
        return False
    distinct = node.args.get("distinct")
    on = distinct.args.get("on") if distinct is not None else None
    return on is None or item in (on.expressions if isinstance(on, exp.Tuple) else [on])


def _restrict_sources(
    node: exp.Select,
    wanted: Sequence[tuple[exp.Expr, str]],
    only: str,
    known: Mapping[str, exp.Query],
) -> None:
    """Restrict the relations behind FROM that hold the keys, or what is equal to them."""
    joins = node.args.get("joins") or []
    if any((j.side or "").upper() not in ("", "LEFT") or j.method or j.kind in ("SEMI", "ANTI")
           for j in joins) or node.args.get("laterals"):  # fmt: skip
        return
    start = node.args["from_"].this
    for source in [start, *(j.this for j in joins)]:
        on = [t for j in joins if j.this is source for t in conjuncts(j.args.get("on"))]
        alias = source.alias_or_name
        optional = any(j.this is source and j.side for j in joins)
        pairs = []
        for item, key in wanted:
            name = _held(item, alias, on, own=not optional)
            pairs += [(name, key)] if name is not None else []
        if len(pairs) == len(wanted):
            _restrict_source(source, pairs, only, known)


def _held(item: exp.Expr, alias: str, on: Sequence[exp.Expr], *, own: bool) -> str | None:
    """The column of a relation that is the item, or that a join makes equal to it."""
    if isinstance(item, exp.Column) and item.table == alias:
        return item.name if own else None
    for test in on:
        if isinstance(test, exp.EQ):
            for one, other in ((test.this, test.expression), (test.expression, test.this)):
                if one == item and isinstance(other, exp.Column) and other.table == alias:
                    return other.name
    return None


def _restrict_source(
    source: exp.Expr, keys: Sequence[tuple[str, str]], only: str, known: Mapping[str, exp.Query]
) -> None:
    alias = source.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        return
    if isinstance(source, exp.Subquery):
        _restrict(source, keys, only, known)
    elif isinstance(source, exp.Table) and not source.db and source.name in known:
        inlined = known[source.name].copy()
        # Inside of a common table expression only those before it are known.
        names = list(known)
        _restrict(inlined, keys, only, {n: known[n] for n in names[: names.index(source.name)]})
        name = exp.to_identifier(source.alias_or_name, quoted=True)
        source.replace(exp.Subquery(this=inlined, alias=exp.TableAlias(this=name)))
