"""How far back of its instant a view reads of each leaf: what lies further back decides nothing.

A row of a leaf whose time a condition bounds from below by the clock (``ts > now - w``), where it is
read or where a plain query hands it on, is in no result at t once ts <= t - w. So is a version that
ended, and of a plain history the row that its ttl has outlived. All else may read the whole past.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types

from feature_specs.compile.draft import Draft, Term
from feature_specs.compile.intervals.clip_clock import clip_clock
from feature_specs.compile.leaves.leaf_tables import leaf_of
from feature_specs.compile.sql.aggregate_calls import has_aggregates
from feature_specs.compile.sql.clock import is_clock
from feature_specs.compile.sql.comparisons import MIRRORED
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.compile.sql.time_axis import interval_us
from feature_specs.instants import DAY_US, microseconds
from feature_specs.leaf import Leaf
from feature_specs.names import fold_name
from feature_specs.retention import most_days

#: The longest of each unit to which a clock is truncated, in days.
_LONGEST = {"SECOND": 1, "MINUTE": 1, "HOUR": 1, "DAY": 1, "WEEK": 7, "MONTH": 31, "QUARTER": 92,
            "YEAR": 366}  # fmt: skip
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
#: What makes a query hand on rows that depend on others.
_NOT_PLAIN = ("group", "having", "qualify", "distinct", "limit", "offset", "windows", "sample")


def find_reach(draft: Draft) -> dict[str, int]:
    """Name of each leaf to microseconds: a row that lies further back than that before t, by each
    of its times, decides nothing at t. A leaf of which the whole past may count is not in it."""
    tree = annotate_types(draft.stored.copy(), schema=draft.schema, dialect=DUCKDB)
    found: dict[str, int | None] = {}
    for table in tree.find_all(exp.Table):
        leaf = leaf_of(draft, table)
        if leaf is not None:
            back = _of_scan(draft, tree, leaf, table)
            known = found.get(leaf.name, 0)
            found[leaf.name] = None if back is None or known is None else max(known, back)
    return {name: back for name, back in found.items() if back is not None}


def _of_scan(draft: Draft, tree: exp.Expr, leaf: Leaf, table: exp.Table) -> int | None:
    if leaf.role == "history" and leaf.valid_to is not None and leaf.visibility != "history":
        return 0
    times = {fold_name(c) for c in (leaf.event_time, leaf.loaded_at) if c is not None}
    select = table.find_ancestor(exp.Select)
    if leaf.role not in ("event", "arrival") or select is None:
        return None
    return _of_columns(draft, tree, select, table.alias_or_name, times)


def _of_columns(
    draft: Draft, tree: exp.Expr, select: exp.Select, alias: str, columns: set[str]
) -> int | None:
    """How far back a relation is read by some of its columns, from a query that names it."""
    bounds = [_bound(test, alias, columns) for test in _conditions(select, alias)]
    known = [b for b in bounds if b is not None]
    if known:
        return min(known)
    if not _is_plain(select):
        return None
    places = [
        i for i, item in enumerate(select.selects)
        if isinstance(plain := item.unalias(), exp.Column)
        and plain.table == alias and fold_name(plain.name) in columns
    ]  # fmt: skip
    whole: exp.Expr = select
    while isinstance(whole.parent, (exp.SetOperation, exp.Paren)):
        whole = whole.parent
    if not isinstance(whole, exp.Query) or not places:
        return None
    names = {fold_name(whole.named_selects[i]) for i in places}
    if whole is tree:
        timed, ttl = draft.view.event_time, draft.view.ttl
        if ttl is None or timed is None or fold_name(timed) not in names:
            return None
        return microseconds(ttl)
    found = [
        _of_columns(draft, tree, reader, called, names) for reader, called in _readers(tree, whole)
    ]
    return None if not found or None in found else max(b for b in found if b is not None)


def _conditions(select: exp.Select, alias: str) -> Iterator[exp.Expr]:
    """Tests that a row of the relation passes, or else it is in no row of the query."""
    yield from conjuncts(select.args.get("where"))
    for join in select.args.get("joins") or ():
        inner = join.side == "" and join.kind in ("", "INNER")
        # Of the side that may be missing, a row that fails is met by nobody.
        optional = join.side == "LEFT" or join.kind in ("SEMI", "ANTI")
        if inner or (optional and join.this.alias_or_name == alias):
            yield from conjuncts(join.args.get("on"))


def _is_plain(select: exp.Select) -> bool:
    if any(select.args.get(name) for name in _NOT_PLAIN) or has_aggregates(select):
        return False
    return not any(item.find(exp.Window, exp.Unnest) for item in select.selects)


def _readers(tree: exp.Expr, query: exp.Query) -> Iterator[tuple[exp.Select, str]]:
    """The queries that read a subquery or a common table expression in FROM, and its name there."""
    holder = query.parent
    if isinstance(holder, exp.Subquery) and isinstance(holder.parent, (exp.From, exp.Join)):
        reader = holder.find_ancestor(exp.Select)
        if reader is not None and holder.alias:
            yield reader, holder.alias
    elif isinstance(holder, exp.CTE) and not holder.args["alias"].columns:
        if holder.parent is None or holder.parent.args.get("recursive"):
            return
        for table in tree.find_all(exp.Table):
            if table.name == holder.alias and not table.db:
                reader = table.find_ancestor(exp.Select)
                if reader is not None:
                    yield reader, table.alias_or_name


def _bound(test: exp.Expr, alias: str, columns: set[str]) -> int | None:
    """How far back the test lets one of the columns lie, if it says so."""
    months = _months_back(test, alias, columns)
    if months is not None:
        return months
    window = clip_clock(test)
    ends = () if window is None else window.ends
    return next((b for b in (_of_term(t, alias, columns) for t in ends) if b is not None), None)


def _of_term(term: Term, alias: str, columns: set[str]) -> int | None:
    read = list(term.instant.find_all(exp.Column))
    if len(read) != 1 or not _is_one_of(read[0], alias, columns):
        return None
    if term.instant is read[0]:
        return max(term.offset - 1, 0)
    cut = term.instant.find(exp.TimestampTrunc)
    if cut is None:
        return None
    back, moved = 0, cut.this
    if isinstance(moved, (exp.Add, exp.Sub)):
        width = interval_us(moved.expression)
        if width is None:
            return None
        back = width if isinstance(moved, exp.Sub) else -width
    return max(_LONGEST[cut.text("unit").upper()] * DAY_US - back, 0)


def _months_back(test: exp.Expr, alias: str, columns: set[str]) -> int | None:
    """``ts > now - interval '3' month``, whose length depends on the instant."""
    if type(test) not in MIRRORED:
        return None
    left, right, kind = test.this, test.expression, type(test)
    if kind in (exp.LT, exp.LTE):
        left, right = right, left
    left, right = _bare(left), _bare(right)
    if not isinstance(left, exp.Column) or not _is_one_of(left, alias, columns):
        return None
    if not isinstance(right, exp.Sub) or not is_clock(_bare(right.this)):
        return None
    width = right.expression
    unit = width.text("unit").upper().removesuffix("S") if isinstance(width, exp.Interval) else ""
    count = width.this if unit in _MONTHS else None
    if not isinstance(count, exp.Literal) or not str(count.this).isdigit():
        return None
    return most_days(int(count.this) * _MONTHS[unit]) * DAY_US


def _bare(node: exp.Expr) -> exp.Expr:
    return _bare(node.this) if isinstance(node, exp.Paren) else node


def _is_one_of(column: exp.Column, alias: str, columns: set[str]) -> bool:
    return column.table == alias and fold_name(column.name) in columns
