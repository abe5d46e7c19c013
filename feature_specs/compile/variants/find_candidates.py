"""Find the leaf rows that may have a part in one entity's features at one instant.

Every row that is left out changes nothing, alone or with others, whatever the data: a row that is
not visible yet, that a condition over its leaf alone drops, that is another entity's where the query
lets no entity see another's rows, or that no row on the left side of its join is equal to. All else
is kept, so that a row that is given may have no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.bound_leaves import bound_leaves, masked, visible_at
from feature_specs.compile.leaves.leaf_tables import leaf_table
from feature_specs.compile.sql.clock import bind_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.lay_out import lay_out
from feature_specs.compile.variants.restrict_keys import restrict_keys
from feature_specs.leaf import Leaf
from feature_specs.quote import quoted

#: The name of a leaf's table in each scan, by which all conditions on its rows name their columns.
_SCAN = "forebay_scan"


def find_candidates(draft: Draft, only: str, instant: str) -> dict[str, str]:
    """SQL of the candidates of each leaf, as its table has them, by the leaf's name.

    Args:
        only: a relation of the keys that are asked for, in columns named as the view's entities.
        instant: SQL of a timestamp with time zone.
    """
    at: exp.Expr = exp.maybe_parse(instant, dialect=DUCKDB)
    tree = draft.stored.copy()
    for table in list(tree.find_all(exp.Table)):
        if _leaf(draft, table) is not None:
            _wrap(draft, table)
    tree = restrict_keys(tree, {e: e for e in draft.view.entities}, only)
    _drop_unread(tree)
    for select in list(tree.find_all(exp.Select)):
        _push_conditions(draft, select)
    for select in list(tree.find_all(exp.Select)):
        _push_equalities(draft, select, at)
    found: dict[str, list[exp.Select]] = {}
    for select in tree.find_all(exp.Select):
        leaf = _scanned(draft, select)
        if leaf is not None:
            found.setdefault(leaf.name, []).append(select)
    leaves = {leaf.name: leaf for leaf in draft.leaves.values()}
    return {name: _candidates(draft, leaves[name], scans, at) for name, scans in found.items()}


def _leaf(draft: Draft, table: exp.Expr) -> Leaf | None:
    if isinstance(table, exp.Table) and not table.db:
        return draft.leaves.get(table.name)
    return None


def _wrap(draft: Draft, table: exp.Table) -> None:
    """Make a scan of a leaf a query of its own, so that it can have conditions of its own."""
    leaf = _leaf(draft, table)
    assert leaf is not None
    columns = [exp.column(c, table=_SCAN, quoted=True) for c in leaf.columns]
    inner = exp.Table(
        this=exp.to_identifier(table.name, quoted=True),
        alias=exp.TableAlias(this=exp.to_identifier(_SCAN, quoted=True)),
    )
    name = exp.to_identifier(table.alias_or_name, quoted=True)
    scan = exp.Subquery(
        this=exp.select(*columns).from_(inner),
        alias=exp.TableAlias(this=name),
        joins=table.args.get("joins"),
    )
    table.replace(scan)


def _scanned(draft: Draft, select: exp.Expr) -> Leaf | None:
    """The leaf that a query made by `_wrap` reads."""
    start = select.args.get("from_")
    if start is None or start.this.alias_or_name != _SCAN:
        return None
    return _leaf(draft, start.this)


def _drop_unread(tree: exp.Expr) -> None:
    """Drop the common table expressions that nobody reads, since `restrict_keys` put them in place."""
    while True:
        read = {t.name for t in tree.find_all(exp.Table) if not t.db}
        unread = [c for c in tree.find_all(exp.CTE) if c.alias not in read]
        if not unread:
            return
        for each in unread:
            each.pop()
        for empty in [w for w in tree.find_all(exp.With) if not w.expressions]:
            empty.pop()


def _push_conditions(draft: Draft, select: exp.Select) -> None:
    """Hand conditions over one relation alone on to that relation, where it drops rows by them."""
    if _scanned(draft, select) is not None or not _joins_simply(select):
        return
    start = select.args["from_"].this
    inner = {j.this.alias_or_name: j for j in select.args.get("joins") or []}
    for source in (start, *(j.this for j in inner.values())):
        join = inner.get(source.alias_or_name)
        tests = [] if join is None else list(conjuncts(join.args.get("on")))
        if join is None or not join.side:
            tests += conjuncts(select.args.get("where"))
        if join is None:
            # An inner join's condition drops rows of either side.
            tests += (t for j in inner.values() if not j.side for t in conjuncts(j.args.get("on")))
        for test in tests:
            _push(source, test)


def _joins_simply(select: exp.Select) -> bool:
    joins = select.args.get("joins") or []
    return (
        select.args.get("from_") is not None
        and not select.args.get("laterals")
        and not any(
            (j.side or "").upper() not in ("", "LEFT")
            or j.method
            or j.args.get("using")
            or (j.kind or "").upper() not in ("", "INNER", "CROSS", "OUTER")
            for j in joins
        )
    )


def _push(source: exp.Expr, test: exp.Expr) -> None:
    """Add a condition to the query behind a relation, where it names nothing but its columns."""
    inner = _plain_query(source)
    columns = list(test.find_all(exp.Column))
    if inner is None or not columns or test.find(exp.Query, exp.AggFunc, exp.Window):
        return
    items = {s.alias_or_name: s.unalias() for s in inner.selects}
    alias = source.alias_or_name
    if any(c.table != alias or not isinstance(items.get(c.name), exp.Column) for c in columns):
        return
    moved = test.copy().transform(
        lambda node: items[node.name].copy() if isinstance(node, exp.Column) else node
    )
    inner.where(exp.paren(moved), copy=False)


def _plain_query(source: exp.Expr) -> exp.Select | None:
    """The query behind a relation, if each of its rows is one of what it reads."""
    if not isinstance(source, exp.Subquery) or not isinstance(source.this, exp.Select):
        return None
    inner = source.this
    whole = ("group", "having", "qualify", "distinct", "limit", "offset", "windows")
    if any(inner.args.get(name) for name in whole) or source.alias_column_names:
        return None
    if any(s.find(exp.AggFunc, exp.Window, exp.Unnest, exp.Explode) for s in inner.selects):
        return None
    return inner


def _push_equalities(draft: Draft, select: exp.Select, instant: exp.Expr) -> None:
    """Keep of a leaf on the right of a join what is equal to a value of a leaf on its left."""
    if _scanned(draft, select) is not None or not _joins_simply(select):
        return
    scans = {select.args["from_"].this.alias_or_name: select.args["from_"].this}
    for join in select.args.get("joins") or []:
        for test in conjuncts(join.args.get("on")):
            pair = _equal(test, join.this, scans)
            if pair is not None:
                mine, other = pair
                source = scans[other.table].this
                leaf = _scanned(draft, source)
                # What a later change hides may be what counts once that one is taken away.
                if leaf is not None and leaf.changelog is None:
                    _keep_equal(draft, join.this, mine, source, other, instant)
        scans[join.this.alias_or_name] = join.this


def _equal(
    test: exp.Expr, right: exp.Expr, left: Mapping[str, exp.Expr]
) -> tuple[exp.Column, exp.Column] | None:
    if not isinstance(test, exp.EQ):
        return None
    for mine, other in ((test.this, test.expression), (test.expression, test.this)):
        if (
            isinstance(mine, exp.Column)
            and isinstance(other, exp.Column)
            and mine.table == right.alias_or_name
            and isinstance(left.get(other.table), exp.Subquery)
        ):
            return mine, other
    return None


def _keep_equal(
    draft: Draft,
    right: exp.Expr,
    mine: exp.Column,
    source: exp.Select,
    other: exp.Column,
    instant: exp.Expr,
) -> None:
    inner = _plain_query(right)
    if inner is None or _scanned(draft, inner) is None:
        return
    item = next((s.unalias() for s in inner.selects if s.alias_or_name == mine.name), None)
    if not isinstance(item, exp.Column):
        return
    bound = duckdb_sql(bound_leaves(draft, source, instant))
    values = f"select forebay_left.{quoted(other.name)} from ({bound}) as forebay_left"
    inner.where(exp.paren(exp.var(f"{duckdb_sql(item)} in ({values})")), copy=False)


def _candidates(draft: Draft, leaf: Leaf, scans: list[exp.Select], instant: exp.Expr) -> str:
    visible = [duckdb_sql(test) for test in visible_at(draft, leaf, instant)]
    kept = [" and ".join(_tests(leaf, scan, instant)) or "true" for scan in scans]
    if "true" not in kept:
        visible.append("(" + " or ".join(f"({each})" for each in dict.fromkeys(kept)) + ")")
    table = f"from {duckdb_sql(leaf_table(leaf))} as {_SCAN}"
    where = " and ".join(visible) or "true"
    columns = ", ".join(quoted(c) for c in leaf.columns)
    if leaf.changelog is None:
        return lay_out(f"select {columns} {table} where {where}")
    # Of a key all changes: an earlier one counts once a later one is taken away.
    keys = ", ".join(quoted(k) for k in leaf.changelog.key)
    seen = " and ".join(visible[:-1] if "true" not in kept else visible) or "true"
    return lay_out(
        f"select {columns} {table} where {seen} and ({keys}) in (select ({keys}) {table} where {where})"
    )


def _tests(leaf: Leaf, scan: exp.Select, instant: exp.Expr) -> Iterator[str]:
    """The conditions of a scan over the table's own columns."""

    def as_known(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column):
            return node
        return masked(leaf, node.name, instant).unalias()

    for test in conjuncts(scan.args.get("where")):
        if test.find(exp.Column) is None:  # text that was added as it stands
            yield duckdb_sql(test)
        else:
            yield duckdb_sql(bind_clock(test, instant).transform(as_known))
