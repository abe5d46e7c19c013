"""The leak proof: show, from the finished SQL alone, that each leaf scan is bounded by t."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp

from feature_specs.compile.proof.prove_bounds import Bounds
from feature_specs.compile.proof.relation import UnboundError
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.compile.sql.relation_names import relation_key
from feature_specs.compile.sql.statement import Statement
from feature_specs.errors import CompileError, UnsafeQueryError
from feature_specs.leaf import Leaf
from feature_specs.names import fold_name, is_reserved


@dataclass(frozen=True)
class ScanBound:
    """What bounds one scan of a leaf: the SQL of the predicates, or the author's word."""

    leaf: str
    bound: str


@dataclass(frozen=True)
class Certificate:
    """Every leaf scan of a point-in-time statement with its bound, and what is taken on trust."""

    scans: tuple[ScanBound, ...]
    assumptions: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The certificate as text."""
        proved = [f"{scan.leaf}: {scan.bound}" for scan in self.scans]
        return proved + [f"taken on the author's word: {word}" for word in self.assumptions]


def certify_bounds(sql: str, leaves: tuple[Leaf, ...], file: str) -> Certificate:
    """Check a finished statement.

    Args:
        sql: its text, as it will be run but for white space.

    Raises:
        UnsafeQueryError: a scan is not bounded by t; the statement must not be used.
    """
    return _certify([], sqlglot.parse_one(sql, dialect=DUCKDB), leaves, file)


def certify_statement(statement: Statement, leaves: tuple[Leaf, ...], file: str) -> Certificate:
    """Check a statement whose pieces are at hand, each of which is parsed once for all views.

    Raises:
        UnsafeQueryError: a scan is not bounded by t; the statement must not be used.
        CompileError: a leaf has the name of one of the statement's own tables.
    """
    own = {fold_name(part.name.strip('"')) for part in statement.parts}
    for leaf in leaves:
        if relation_key(exp.to_table(leaf.name, dialect=DUCKDB)) in own:
            raise CompileError(
                f"table {leaf.name} has a name that the compiled statement uses itself",
                where=file,
                hint="rename the view or the table",
            )
    alike = _alike(statement, leaves)
    parts = [(alike(p.name).strip('"'), _parsed(alike(p.sql))) for p in statement.parts]
    return _certify(parts, _parsed(alike(statement.select)), leaves, file)


def _alike(statement: Statement, leaves: tuple[Leaf, ...]) -> Callable[[str], str]:
    """Replace views' prefixes by numbers, since pieces of many views differ in nothing else.

    All at once, so that no two come to have one name; none where that would touch a leaf's name.
    """
    named = (
        exp.to_table(leaf.name, dialect=DUCKDB).sql("duckdb", identify=True) for leaf in leaves
    )
    numbers = {prefix: f'"v{i}__' for i, prefix in enumerate(statement.prefixes)}
    if any(prefix in name for name in named for prefix in numbers):
        return str
    longest_first = sorted(numbers, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return lambda text: pattern.sub(lambda found: numbers[found[0]], text)


@lru_cache(maxsize=256)
def _parsed(sql: str) -> exp.Expr:
    """Parse a piece of a statement; the proof does not change it."""
    return sqlglot.parse_one(sql, dialect=DUCKDB)


def _certify(
    parts: Sequence[tuple[str, exp.Expr]], select: exp.Expr, leaves: tuple[Leaf, ...], file: str
) -> Certificate:
    for leaf in leaves:
        taken = next(filter(is_reserved, leaf.columns), None)
        if taken is not None:  # the proof would take it for one of the statement's own
            raise UnsafeQueryError(
                f"column {taken!r} of {leaf.name} begins like forebay's own names",
                where=leaf.where or file,
                hint="rename it where the table is made",
            )
    known = {relation_key(exp.to_table(leaf.name, dialect=DUCKDB)): leaf for leaf in leaves}
    bounds = Bounds(known)
    try:
        bounds.prove(select, parts)
    except UnboundError as gap:
        raise UnsafeQueryError(
            f"the compiled statement reads rows without a bound in time: {gap}",
            where=file,
            hint="this is a fault of forebay's: report it with the view's SQL",
        ) from None
    scans = [ScanBound(leaf, bound) for leaf, bound in bounds.scans]
    words = [f"{leaf.name} is static" for leaf in leaves if leaf.static]
    words += [f"{leaf.name} is read as it stands" for leaf in leaves if leaf.written == "mutable"]
    words += [f"{leaf.name} is time_safe" for leaf in leaves if leaf.time_safe]
    words += [
        f"{leaf.name} is seen at its event_time, not when it was loaded"
        for leaf in leaves
        if leaf.loaded_at is not None and leaf.visibility == "event"
    ]
    return Certificate(tuple(dict.fromkeys(scans)), tuple(words))
