"""Decide whether an instant is late enough for the leaf rows beside it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.compile.proof.select_proof import SelectProof
from feature_specs.compile.proof.shapes import (
    axis_of,
    is_forward,
    ordered_sides,
    times_of,
    unshifted,
    without_delay,
)
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.own_names import is_bookkeeping
from feature_specs.leaf import Leaf


def meets_spine(reading: SelectProof, alias: str) -> str | None:
    """Whether a condition keeps the rows at or before the instant of a spine row beside them."""
    carriers = reading.sources[alias].carriers
    for test in reading.tests:
        small, large = ordered_sides(test)
        if small is None or large is None or not isinstance(small, exp.Column):
            continue
        if reading.owner(small) != alias or small.name not in carriers:
            continue
        instant = without_delay(large)
        if isinstance(instant, exp.Column) and instant.name == "fb_t":
            owner = reading.owner(instant)
            if owner is not None and reading.sources[owner].spine is not None:
                return reading.sources[owner].spine
    return None


def respects(
    reading: SelectProof, node: exp.Expr, alias: str, outputs: Mapping[str, exp.Expr]
) -> bool:
    """Whether the expression is not before any instant that bounds the alias."""
    if alias in reading.scans:
        leaf = reading.scans[alias]
        times = {*times_of(leaf), *later(reading, alias, leaf, outputs)}
        return all(reaches(reading, node, alias, {t}) for t in times)
    return reaches(reading, node, alias, reading.sources[alias].carriers)


def reaches(
    reading: SelectProof, node: exp.Expr, alias: str, columns: set[str] | frozenset[str]
) -> bool:
    """``node`` is at least one of the columns, by its form or by a condition."""
    for test in reading.tests:
        small, large = ordered_sides(test)
        if not isinstance(small, exp.Column) or large is None or large != node:
            continue
        if reading.owner(small) == alias and small.name in columns:
            return True
    if isinstance(node, exp.Paren):
        return reaches(reading, node.this, alias, columns)
    if isinstance(node, exp.Greatest):
        return any(reaches(reading, a, alias, columns) for a in [node.this, *node.expressions])
    if isinstance(node, exp.Add) and is_forward(node.expression):
        return reaches(reading, node.this, alias, columns)
    if isinstance(node, exp.Mul) and node.expression == exp.Literal.number(2):
        return reaches(reading, node.this, alias, columns)  # a place: the axis, twice as wide
    if isinstance(node, exp.Coalesce) and axis_of(node) is None:
        # coalesce(x, a far future): what has no instant is never seen.
        last = node.expressions[-1]
        far = isinstance(last, exp.Literal) and last.is_int and int(last.this) >= 2**61
        return far and reaches(reading, node.this, alias, columns)
    if isinstance(node, (exp.Min, exp.Max)):
        return reaches(reading, node.this, alias, columns)
    if isinstance(node, exp.Column):
        return reading.owner(node) == alias and node.name in columns
    axis = axis_of(node)
    if axis is not None:
        return reaches(reading, axis, alias, columns)
    if isinstance(node, (exp.Cast, exp.AtTimeZone, exp.Nullif)):
        inner = list(node.find_all(exp.Column))
        early = node.find(exp.Sub, exp.Least, exp.Case, exp.Interval)
        return (
            early is None
            and len({c.name for c in inner}) == 1
            and reading.owner(inner[0]) == alias
            and inner[0].name in columns
        )
    return False


def later(
    reading: SelectProof, alias: str, leaf: Leaf, outputs: Mapping[str, exp.Expr]
) -> set[str]:
    """The times at which columns become known that values or conditions read unmasked."""
    later = dict(leaf.known_later)
    if leaf.valid_to is not None:
        later[leaf.valid_to] = leaf.valid_to
    times = {leaf.event_time, leaf.loaded_at, leaf.valid_from, leaf.valid_to}
    times |= set(leaf.known_later.values())
    nodes = [e for n, e in outputs.items() if not is_bookkeeping(n)]
    nodes += reading.laterals  # what they compute of a row's values stands for those values
    nodes += [t for t in reading.tests if not reading.named(t, alias) <= times]
    read = {c.name for n in nodes for c in n.find_all(exp.Column) if reading.owner(c) == alias}
    arrives = leaf.loaded_at if leaf.role == "arrival" else None
    return {later[c] for c in read & later.keys() if later[c] != arrives}


def cut_of(
    reading: SelectProof, alias: str, leaf: Leaf, outputs: Mapping[str, exp.Expr]
) -> str | None:
    """Whether each time of the leaf is alone on the smaller side of a comparison with the instant."""
    found: dict[str, str] = {}
    for test in reading.tests:
        if not isinstance(test, (exp.LTE, exp.LT)):
            continue
        columns = {c.name for c in test.this.find_all(exp.Column)}
        if len(columns) == 1 and unshifted(test) and not reading.own(test.expression):
            found[columns.pop()] = duckdb_sql(test)
    names = times_of(leaf)
    if not names <= found.keys() or masks(reading, alias, leaf, outputs):
        return None
    return " and ".join(found[n] for n in sorted(names)) if names else None


def masks(reading: SelectProof, alias: str, leaf: Leaf, outputs: Mapping[str, exp.Expr]) -> bool:
    """Whether a column that becomes known later is passed on unmasked."""
    later = {*leaf.known_later, *([leaf.valid_to] if leaf.valid_to else [])}
    return any(isinstance(e, exp.Column) and e.name in later for e in outputs.values())
