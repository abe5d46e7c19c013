"""What lowerings work with and produce: scopes, and named subqueries with a row per spine row."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, IntervalForm, Subquery
from feature_specs.compile.lowerings.interval_rows import IntervalRows
from feature_specs.compile.sql.duckdb_sql import duckdb_sql

#: Columns of the spine as lowerings see it.
ROW, AXIS, REQUESTED = "fb_row", "fb_t", "fb_ts"


@dataclass(frozen=True)
class ViewScope:
    """Names and keys for lowering one interval form.

    Attributes:
        prefix: what the names of its CTEs begin with.
        key_names: the columns by which instants and rows belong together.
        whole_key: there is one such column, of whole numbers of at most 64 bits.
        spine_key: the spine's own name of the first of them.
    """

    prefix: str
    key_names: tuple[str, ...]
    form: IntervalForm
    rows: IntervalRows
    event_time: str | None = None
    whole_key: bool = False
    spine_key: str = ""

    def name(self, part: str) -> str:
        """A quoted CTE name within this scope."""
        return f'"{self.prefix}__{part}"'

    @property
    def keys(self) -> list[str]:
        return [f'"{e}"' for e in self.key_names]

    def same_key(self, left: str, right: str) -> str:
        return " and ".join(f"{left}.{k} = {right}.{k}" for k in self.keys)


@dataclass(frozen=True)
class Piece:
    """Aggregates of a view: one row per spine row, with ``fb_row`` and a column per aggregate."""

    name: str
    subqueries: tuple[Subquery, ...]
    provides: tuple[str, ...] = field(default=())


def filtered(function: exp.Expr, condition: str | None) -> str:
    """SQL of an aggregate with a FILTER."""
    text = duckdb_sql(function)
    return f"{text} filter (where {condition})" if condition else text


def names_of(parts: list[AggregateCall]) -> tuple[str, ...]:
    return tuple(p.name for p in parts)
