"""A feature's statistics: counts, moments, quantiles, histogram, top values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from feature_specs.errors import ForebayError
from feature_specs.sql_types import parse_type

#: How a feature is measured: ``number`` and ``category`` have bins, ``time`` a least and a greatest
#: value, ``other`` (lists, structs, blobs) its nulls alone.
Kind: TypeAlias = Literal["number", "category", "time", "other"]

#: What was measured: a feature table as a build left it, vectors as they were served, or the
#: columns of a training set.
Measured: TypeAlias = Literal["build", "served", "training"]

#: The shares at which quantiles are kept.
QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)

_UTC = pa.timestamp("us", "UTC")

#: The columns of the tables that keep statistics and baselines.
SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("measured", pa.string()),
        ("source", pa.string()),
        ("view", pa.string()),
        ("feature", pa.string()),
        ("type", pa.string()),
        ("kind", pa.string()),
        ("meaning", pa.string()),
        ("as_of", _UTC),
        ("measured_at", _UTC),
        ("snapshot", pa.int64()),
        ("rows", pa.int64()),
        ("nulls", pa.int64()),
        ("nans", pa.int64()),
        ("distinct", pa.int64()),
        ("mean", pa.float64()),
        ("stddev", pa.float64()),
        ("least", pa.float64()),
        ("greatest", pa.float64()),
        ("quantiles", pa.list_(pa.float64())),
        ("edges", pa.list_(pa.float64())),
        ("categories", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
        ("top_values", pa.list_(pa.string())),
        ("top_counts", pa.list_(pa.int64())),
        ("sampled", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Bins:
    """Where the bins of a feature's histogram lie, frozen with its baseline.

    Attributes:
        edges: of numbers, the upper end (included) of every bin but the last, ascending. The first
            bin goes down to -infinity, the last one up to infinity.
        categories: of categories, the value of every bin but the last, which holds all others.
    """

    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.edges or self.categories) + 1


@dataclass(frozen=True)
class FeatureStatistics:
    """One feature's statistics at one instant.

    Attributes:
        source: the name of what was measured: a view's table, a training set, or ``served``; of a
            view in a role of a training set's service, see `source_in_role`.
        meaning: definition hash of the view; values of another meaning are not comparable.
        as_of: the instant of which the values are; of served vectors, the end of their hour.
        snapshot: Iceberg snapshot of the table measured; None of what has none.
        rows: entities, or vectors; nulls, nans: values that are null, or not a number.
        distinct: values that differ: exact where all rows were sampled, else by HyperLogLog (about 2%).
        mean, stddev: of finite values. least, greatest: of times, seconds since the epoch.
        quantiles: at `QUANTILES`, of the sampled values; empty where there are none.
        counts: how many of the sampled values are in each of the bins; null and NaN are in none.
            Empty where the feature has no bins yet.
        top: the most frequent values of the sample and how often each was met there.
        sampled: rows of which quantiles, counts and top values are; mostly all.
    """

    view: str
    feature: str
    type: str
    kind: Kind
    measured: Measured
    source: str
    meaning: str
    as_of: datetime
    measured_at: datetime
    snapshot: int | None
    rows: int
    nulls: int
    nans: int = 0
    distinct: int | None = None
    mean: float | None = None
    stddev: float | None = None
    least: float | None = None
    greatest: float | None = None
    quantiles: tuple[float, ...] = ()
    bins: Bins | None = None
    counts: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = field(default=())
    sampled: int = 0

    @property
    def missing(self) -> int:
        """Values that are null or NaN."""
        return self.nulls + self.nans

    @property
    def null_rate(self) -> float | None:
        """The share of values that are null; None of no rows."""
        return self.nulls / self.rows if self.rows else None


def kind_of(type_name: str) -> Kind:
    """How values of a DuckDB type are measured.

    >>> kind_of("DECIMAL(12,2)"), kind_of("BOOLEAN"), kind_of("FLOAT[3]")
    ('number', 'category', 'other')
    """
    try:
        known = parse_type(type_name)
    except ForebayError:
        return "other"
    if known.is_numeric:
        return "number"
    if known.name in ("VARCHAR", "BOOLEAN", "UUID"):
        return "category"
    return "time" if known.is_temporal else "other"


_IN_ROLE = " as "


def source_in_role(training_set: str, role: str | None) -> str:
    """The source of a training set's columns that are a view's in a role, which has other entities.

    >>> source_in_role("train", "payer"), role_of("train as payer"), role_of("train")
    ('train as payer', ('train', 'payer'), ('train', None))
    """
    return training_set if role is None else f"{training_set}{_IN_ROLE}{role}"


def role_of(source: str) -> tuple[str, str | None]:
    """A training set's name, and the role of which its source tells; None of a view itself."""
    name, _, role = source.partition(_IN_ROLE)
    return name, role or None


def to_rows(entries: list[FeatureStatistics]) -> pa.Table:
    """Statistics as rows of the tables that keep them."""
    return pa.Table.from_pylist([_row(entry) for entry in entries], schema=SCHEMA)


def _row(entry: FeatureStatistics) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in SCHEMA.names if hasattr(entry, name)}
    bins = entry.bins
    return row | {
        "day": _day(entry.as_of),
        "quantiles": list(entry.quantiles),
        "edges": list(bins.edges) if bins else [],
        "categories": list(bins.categories) if bins else [],
        "counts": list(entry.counts),
        "top_values": [value for value, _ in entry.top],
        "top_counts": [count for _, count in entry.top],
    }


def _day(moment: datetime) -> date:
    return moment.date()


def from_row(row: Mapping[str, Any]) -> FeatureStatistics:
    """The statistics of a row."""
    known = {n: row[n] for n in FeatureStatistics.__dataclass_fields__ if n in row}
    counts = tuple(row["counts"] or ())
    edges, categories = tuple(row["edges"] or ()), tuple(row["categories"] or ())
    top = zip(row["top_values"] or (), row["top_counts"] or (), strict=True)
    return FeatureStatistics(
        **known
        | {
            "quantiles": tuple(row["quantiles"] or ()),
            "bins": Bins(edges, categories) if counts else None,
            "counts": counts,
            "top": tuple(top),
        }
    )
