"""The leak proof: show, from the finished SQL alone, that each leaf scan is bounded by t."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from feature_specs.compile.parse_query import relation_key
from feature_specs.compile.prove_bounds import Bounds, UnboundError
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

    Args:
        sql: its text, as it will be run but for white space.

    Raises:
        UnsafeQueryError: a scan is not bounded by t; the statement must not be used.
    """
    known = {relation_key(exp.to_table(leaf.name, dialect="duckdb")): leaf for leaf in leaves}
    bounds = Bounds(known)
    try:
        bounds.prove(sqlglot.parse_one(sql, dialect="duckdb"))
    except UnboundError as gap:
        raise UnsafeQueryError(
            f"the compiled statement reads rows without a bound in time: {gap}",
            where=file,
            mend="this is a fault of forebay's: report it with the view's SQL",
        ) from None
    scans = [ScanBound(leaf, bound) for leaf, bound in bounds.scans]
    words = [f"{leaf.name} is static" for leaf in leaves if leaf.role == "static"]
    words += [f"{leaf.name} is time_safe" for leaf in leaves if leaf.time_safe]
    words += [
        f"{leaf.name} is seen at its event_time, not when it was loaded"
        for leaf in leaves
        if leaf.loaded_at is not None and leaf.visibility == "event"
    ]
    return Certificate(tuple(dict.fromkeys(scans)), tuple(words))
