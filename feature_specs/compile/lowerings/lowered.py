"""What a lowering makes: named subqueries, the last of which holds a row per matched spine row."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import Contribution, IntervalForm, Subquery
from feature_specs.compile.duckdb_sql import duckdb_sql
from feature_specs.compile.interval_rows import IntervalRows

#: Columns of the spine as lowerings see it.
ROW, AXIS, ASKED = "fb_row", "fb_t", "fb_ts"


@dataclass(frozen=True)
class Scope:
    """What the lowering of one interval form works with.

    Attributes:
        prefix: what the names of its CTEs begin with.
        key_names: the columns by which instants and rows belong together.
        whole_key: there is one such column, of whole numbers of at most 64 bits.
    """

    prefix: str
    key_names: tuple[str, ...]
    form: IntervalForm
    rows: IntervalRows
    event_time: str | None = None
    whole_key: bool = False

    def name(self, part: str) -> str:
        """A quoted CTE name of this scope's own."""
        return f'"{self.prefix}__{part}"'

    @property
    def keys(self) -> list[str]:
        return [f'"{e}"' for e in self.key_names]

    def same_key(self, left: str, right: str) -> str:
        return " and ".join(f"{left}.{k} = {right}.{k}" for k in self.keys)


@dataclass(frozen=True)
class Piece:
    """Some aggregates of a view, one row per spine row: ``fb_row`` and a column per aggregate."""

    name: str
    subqueries: tuple[Subquery, ...]
    provides: tuple[str, ...] = field(default=())


def quoted(name: str) -> str:
    return f'"{name}"'


def filtered(function: exp.Expr, condition: str | None) -> str:
    """SQL of an aggregate with a FILTER."""
    text = duckdb_sql(function)
    return f"{text} filter (where {condition})" if condition else text


def names_of(parts: list[Contribution]) -> tuple[str, ...]:
    return tuple(p.name for p in parts)
