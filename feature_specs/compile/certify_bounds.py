"""The leak proof: show, from the finished SQL alone, that each leaf scan is bounded by t.

It reads the output and shares nothing with the passes that wrote it but the leaves' declarations.
Two shapes of bound are known. *Cut*: the scan's own WHERE compares every time of the leaf with the
instant. *Interval*: the scan hands on the instant at which each row starts, as ``fb_start0``, and
whoever reads those rows either compares it with the spine's instant or orders a window by it that
ends at the current row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from feature_specs.compile.parse_query import relation_key
from feature_specs.errors import UnsafeQueryError
from feature_specs.leaf import Leaf


@dataclass(frozen=True)
class ScanBound:
    """What bounds one scan of a leaf: the SQL of the predicates, or the author's word."""

    leaf: str
    bound: str


@dataclass(frozen=True)
class Certificate:
    """Every leaf scan of a point-in-time statement with its bound, and what is taken on trust."""

    scans: tuple[ScanBound, ...]
    taken_on_word: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The certificate as text."""
        proved = [f"{scan.leaf}: {scan.bound}" for scan in self.scans]
        return proved + [f"taken on the author's word: {word}" for word in self.taken_on_word]


def certify_bounds(sql: str, leaves: tuple[Leaf, ...], file: str) -> Certificate:
    """Check a finished statement.

    Raises:
        UnsafeQueryError: a scan is not bounded by t; the statement must not be used.
    """
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    known = {relation_key(exp.to_table(leaf.name, dialect="duckdb")): leaf for leaf in leaves}
    scans = []
    for table in tree.find_all(exp.Table):
        leaf = known.get(relation_key(table)) if isinstance(table.this, exp.Identifier) else None
        if leaf is None or _is_cte(tree, table):
            continue
        bound = _bound_of(tree, table, leaf)
        if bound is None:
            raise UnsafeQueryError(
                f"the compiled statement reads {leaf.name} without a bound in time",
                where=file,
                mend="this is a fault of forebay's: report it with the view's SQL",
            )
        scans.append(ScanBound(leaf.name, bound))
    words = [f"{leaf.name} is static" for leaf in leaves if leaf.role == "static"]
    words += [f"{leaf.name} is time_safe" for leaf in leaves if leaf.time_safe]
    words += [
        f"{leaf.name} is seen at its event_time, not when it was loaded"
        for leaf in leaves
        if leaf.loaded_at is not None and leaf.visibility == "event"
    ]
    return Certificate(tuple(dict.fromkeys(scans)), tuple(words))


def _is_cte(tree: exp.Expr, table: exp.Table) -> bool:
    return not table.db and any(c.alias == table.name for c in tree.find_all(exp.CTE))


def _bound_of(tree: exp.Expr, table: exp.Table, leaf: Leaf) -> str | None:
    if leaf.role == "static":
        return "static, so its rows are always visible"
    select = table.find_ancestor(exp.Select)
    assert select is not None
    times = [leaf.event_time or leaf.valid_from]
    if leaf.loaded_at is not None and leaf.visibility != "event":
        times.append(leaf.loaded_at)
    names = {t for t in times if t is not None}
    cut = _cut_bound(select, names)
    if cut is not None and not _later_columns_leak(select, leaf):
        return cut
    return _interval_bound(tree, select, names, table.alias_or_name)


def _cut_bound(select: exp.Select, names: set[str]) -> str | None:
    """Each time column stands alone on the small side of a comparison in this WHERE."""
    where = select.args.get("where")
    found: dict[str, str] = {}
    for test in _conjuncts(where.this if where is not None else None):
        if isinstance(test, (exp.LTE, exp.LT)):
            columns = {c.name for c in test.this.find_all(exp.Column)}
            if len(columns) == 1 and _unshifted(test) and not _own_columns(select, test.expression):
                found[columns.pop()] = test.sql("duckdb")
    if not names <= found.keys():
        return None
    return " and ".join(found[n] for n in sorted(names))


def _conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Paren):
        yield from _conjuncts(node.this)
    elif isinstance(node, exp.And):
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    elif node is not None:
        yield node


def _unshifted(test: exp.LTE | exp.LT) -> bool:
    """Neither side is moved so as to let a row in early."""
    instant = test.expression
    while isinstance(instant, (exp.Cast, exp.Paren)):
        instant = instant.this
    early = test.this.find(exp.Sub, exp.Interval, exp.Least, exp.Case, exp.Coalesce)
    return early is None and isinstance(instant, (exp.Column, exp.Parameter, exp.Literal))


def _own_columns(select: exp.Select, node: exp.Expr) -> bool:
    """The instant's side reads an outer query or a literal, never the leaf itself."""
    own = {t.alias_or_name for t in select.find_all(exp.Table)}
    return any(not c.table or c.table in own for c in node.find_all(exp.Column))


def _later_columns_leak(select: exp.Select, leaf: Leaf) -> bool:
    """A column known later than its row is handed on as it is, without a mask."""
    later = {*leaf.known_later, *([leaf.valid_to] if leaf.valid_to else [])}
    return any(isinstance(s, exp.Column) and s.name in later for s in select.selects)


def _interval_bound(tree: exp.Expr, select: exp.Select, names: set[str], alias: str) -> str | None:
    starts = next((s for s in select.selects if s.alias == "fb_start0"), None)
    cte = select.find_ancestor(exp.CTE)
    if starts is None or cte is None:
        return None
    held = {c.name for c in starts.find_all(exp.Column) if c.table == alias}
    # A column of any other time than the leaf's own would start rows early.
    if not names <= held or isinstance(starts.unalias(), exp.Least):
        return None
    readers = _readers(tree, cte.alias)
    if not readers or not all(_reader_is_bounded(tree, r) for r in readers):
        return None
    return f"visible from {starts.unalias().sql('duckdb')}, and read only up to the spine's instant"


def _readers(tree: exp.Expr, name: str) -> list[exp.Select]:
    out = []
    for table in tree.find_all(exp.Table):
        if not table.db and table.name == name:
            reader = table.find_ancestor(exp.Select)
            if reader is not None:
                out.append(reader)
    return out


def _reader_is_bounded(tree: exp.Expr, reader: exp.Select) -> bool:
    """The rows meet the spine under ``start <= t``, or are handed on with their start."""
    if any(_compares_with_instant(j) for j in reader.args.get("joins") or []):
        return True
    axis = {s.alias_or_name for s in reader.selects}
    handed_on = axis & {"fb_at", "fb_start0"} or any(
        isinstance(s, exp.Star) for s in reader.selects
    )
    if not handed_on:
        return False
    outer = reader.parent_select
    if outer is not None and _framed(outer):
        return True
    cte = reader.find_ancestor(exp.CTE)
    if cte is None:
        return False
    readers = _readers(tree, cte.alias)
    return bool(readers) and all(_reader_is_bounded(tree, r) for r in readers)


def _compares_with_instant(join: exp.Join) -> bool:
    on = join.args.get("on")
    if on is None:
        return False
    for test in on.find_all(exp.LTE, exp.GTE):
        small, large = (
            (test.this, test.expression)
            if isinstance(test, exp.LTE)
            else (test.expression, test.this)
        )
        if small.name.startswith(("fb_start", "fb_at")) and any(
            c.name == "fb_t" for c in large.find_all(exp.Column)
        ):
            return not isinstance(large, exp.Add)
    return False


def _framed(select: exp.Select) -> bool:
    """Every window is ordered by the axis and ends at the current row, and only spine rows stay."""
    windows = list(select.find_all(exp.WindowSpec))
    outer = select.parent_select
    where = outer.args.get("where") if outer is not None else None
    spine_only = where is not None and "fb_row" in where.sql()
    return (
        spine_only
        and bool(windows)
        and all(str(w.args.get("end")).upper() == "CURRENT ROW" for w in windows)
    )
