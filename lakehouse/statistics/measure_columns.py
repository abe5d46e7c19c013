"""Measure columns of a relation by DuckDB: one pass over all rows, and one over a sample.

Counts, nulls, moments, least and greatest are of all rows. Quantiles, histograms and top values
are, beyond SAMPLED rows, of a sample drawn by a hash of the key: with 100,000 rows a quantile's
rank, and any share of the histogram up to an edge, is off by less than 0.52% in 99 cases of 100
(Dvoretzky, Kiefer, Wolfowitz).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from feature_specs.quote import literal, quoted
from lakehouse.statistics.feature_statistics import QUANTILES, Bins, Kind, kind_of

#: Rows beyond which a sample is taken.
SAMPLED = 100_000

#: Bins of a number's histogram, but for one below its least value where that is frequent.
_DECILES = tuple(n / 10 for n in range(1, 10))
_CATEGORIES = 20
_TOP = 10
#: Of a number with more values than these none is worth naming.
_MOST_DISTINCT = 10_000


@dataclass(frozen=True)
class Measure:
    """What was measured of one column; see `FeatureStatistics`."""

    kind: Kind
    rows: int
    nulls: int
    nans: int
    distinct: int | None
    mean: float | None
    stddev: float | None
    least: float | None
    greatest: float | None
    quantiles: tuple[float, ...]
    bins: Bins | None
    counts: tuple[int, ...]
    top: tuple[tuple[str, int], ...]
    sampled: int


def measure_columns(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    keys: Sequence[str],
    columns: Mapping[str, str],
    bins: Mapping[str, Bins],
    *,
    sampled: int = SAMPLED,
) -> dict[str, Measure]:
    """Measure columns of a relation.

    Args:
        relation: what stands after FROM, such as a query in parentheses.
        keys: columns by whose hash rows are sampled; none for all columns.
        columns: name to DuckDB type.
        bins: by column, the frozen bins; of other columns they are laid from these values.
        sampled: how many rows are looked at in order, about.
    """
    if not columns:
        return {}
    return _Measuring(connection, columns, bins).measure(relation, keys, sampled)


class _Measuring:
    """Two reads of one relation: of all rows, and of the sample, in which columns are c0, c1, ... as
    they are measured, and r0, r1, ... as they stand."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        columns: Mapping[str, str],
        bins: Mapping[str, Bins],
    ) -> None:
        self.run = connection.execute
        self.columns = list(columns)
        self.kinds = [kind_of(kind) for kind in columns.values()]
        self.bins = [bins.get(name) for name in columns]

    def measure(self, relation: str, keys: Sequence[str], sampled: int) -> dict[str, Measure]:
        made = ", ".join(
            f"{_VALUE[kind].format(c=quoted(name))} as c{n}, "
            f"{'null' if kind == 'other' else quoted(name)} as r{n}"
            for n, (name, kind) in enumerate(zip(self.columns, self.kinds, strict=True))
        )
        values = f"(select {made} from {relation} as measured)"
        ((rows,),) = self.run(f"select count(*) from {relation} as measured").fetchall()
        drawn = ""
        if rows > sampled:
            hashed = ", ".join(map(quoted, keys)) or "measured"
            drawn = f"where hash({hashed}) < {int(2**64 * (sampled / rows))}"
        self.run(
            "create or replace temp table forebay_sampled as "
            f"select {made} from {relation} as measured {drawn}"
        )
        ((looked_at,),) = self.run("select count(*) from forebay_sampled").fetchall()
        whole = "forebay_sampled" if not drawn else values
        spread = self._aggregate(whole, [_spread(f"c{n}", k, not drawn) for n, k in self._each()])
        moments = self._aggregate(whole, [_moments(f"c{n}", k, spread[n]) for n, k in self._each()])
        ordered = [self._look_at(n, spread[n].get("distinct") or 0) for n, _ in self._each()]
        binned = self._aggregate(
            "forebay_sampled", [_histogram(f"c{n}", k, self.bins[n]) for n, k in self._each()]
        )
        self.run("drop table forebay_sampled")
        return {
            name: Measure(
                kind=self.kinds[n],
                rows=int(rows),
                bins=self.bins[n],
                quantiles=ordered[n][0],
                counts=_in_bins(binned[n].get("counts"), self.bins[n]),
                top=ordered[n][1],
                sampled=int(looked_at),
                **_finished(spread[n] | moments[n]),
            )
            for n, name in enumerate(self.columns)
        }

    def _each(self) -> Iterable[tuple[int, Kind]]:
        return enumerate(self.kinds)

    def _look_at(
        self, n: int, distinct: int
    ) -> tuple[tuple[float, ...], tuple[tuple[str, int], ...]]:
        """Quantiles and top values of a column's sample; lays its bins where it has none."""
        kind = self.kinds[n]
        if kind not in ("number", "category"):
            return (), ()
        present = f"c{n} is not null" + (f" and isfinite(c{n})" if kind == "number" else "")
        quantiles: tuple[float, ...] = ()
        if kind == "number":
            asked = [*QUANTILES, *_DECILES]
            ((found,),) = self.run(
                f"select quantile_cont(c{n}, {asked}) from forebay_sampled where {present}"
            ).fetchall()
            values = found or []
            quantiles = tuple(values[: len(QUANTILES)])
            if quantiles and self.bins[n] is None:
                self.bins[n] = _lay_bins(quantiles[0], values[len(QUANTILES) :])
        if kind == "number" and distinct > _MOST_DISTINCT:
            return quantiles, ()
        # As they stand, since numbers that one double stands for may be several.
        found = self.run(
            f"select cast(r{n} as varchar), count(*) from forebay_sampled where {present} "
            f"group by r{n} order by count(*) desc, r{n} limit {_CATEGORIES}"
        ).fetchall()
        if kind == "category" and found and self.bins[n] is None:
            self.bins[n] = Bins(categories=tuple(value for value, _ in found))
        return quantiles, tuple((value, int(count)) for value, count in found[:_TOP])

    def _aggregate(self, relation: str, parts: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """Run the aggregates of all columns at once; gives each column its own back, by name."""
        items = [item for part in parts for item in part.values()] or ["count(*)"]
        values = iter(self.run(f"select {', '.join(items)} from {relation}").fetchall()[0])
        return [{name: next(values) for name in part} for part in parts]


#: Doubles from here on overflow when they are squared and summed, which DuckDB refuses.
_SQUARES = 1e145

#: How a column's values are held while they are measured.
_VALUE = {
    "number": "cast({c} as double)",
    "category": "cast({c} as varchar)",
    "time": "epoch(cast({c} as timestamptz))",
    "other": "{c} is not null or null",
}


def _spread(c: str, kind: Kind, exactly: bool) -> dict[str, str]:
    """Name to SQL of what is counted of a column over all rows."""
    # As they stand: an infinite time is no null, though it has no seconds since the epoch.
    raw = c if kind == "other" else c.replace("c", "r")
    items = {"nulls": f"count(*) - count({raw})"}
    if kind != "other":
        items["distinct"] = f"count(distinct {raw})" if exactly else f"approx_count_distinct({raw})"
    if kind in ("number", "time"):
        items |= {"least": f"min({c})", "greatest": f"max({c})"}
    return items


def _moments(c: str, kind: Kind, spread: Mapping[str, Any]) -> dict[str, str]:
    """Name to SQL of a column's moments; infinite values and NaN are left out, which costs more."""
    ends = [spread[end] for end in ("least", "greatest") if spread.get(end) is not None]
    if kind not in ("number", "time") or not ends:
        return {}
    only = ""
    items: dict[str, str] = {}
    if not all(math.isfinite(end) and abs(end) < _SQUARES for end in ends):
        finite = f"filter (where isfinite({c}))"
        items |= {"least": f"min({c}) {finite}", "greatest": f"max({c}) {finite}"}
        items["nans"] = f"count(*) filter (where isnan({c}))"
        only = f"filter (where abs({c}) < {_SQUARES})"
    if kind == "number":
        items |= {"mean": f"avg({c}) {only}", "stddev": f"stddev_samp({c}) {only}"}
    return items


def _finished(values: dict[str, Any]) -> dict[str, Any]:
    if max(abs(values.get("least") or 0), abs(values.get("greatest") or 0)) >= _SQUARES:
        values["mean"] = values["stddev"] = None  # rather than those of the smaller values
    return dict.fromkeys(("distinct", "mean", "stddev", "least", "greatest")) | {"nans": 0} | values


def _histogram(c: str, kind: Kind, bins: Bins | None) -> dict[str, str]:
    """SQL of the list of counts of a column's bins; nothing where it has none."""
    if bins is None:
        return {}
    if kind == "number":
        edges = ", ".join(f"{edge!r}::double" for edge in bins.edges)
        counted = f"map_values(histogram({c}, [{edges}]) filter (where not isnan({c})))"
        # Without a value beyond the last edge, DuckDB leaves the bin out.
        return {"counts": counted}
    known = ", ".join(map(literal, bins.categories))
    each = [f"count(*) filter (where {c} = {literal(value)})" for value in bins.categories]
    return {"counts": f"[{', '.join(each)}, count(*) filter (where {c} not in ({known}))]"}


def _in_bins(counts: Sequence[int] | None, bins: Bins | None) -> tuple[int, ...]:
    """A count for every bin."""
    found = [int(count) for count in counts or ()]
    return tuple(found + [0] * ((0 if bins is None else len(bins)) - len(found)))


def _lay_bins(least: float, deciles: Sequence[float]) -> Bins:
    """Bins of equal shares. Where the least value fills one, what lies below it has its own.

    >>> _lay_bins(0.0, [0.0, 0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 6.0]).edges
    (-5e-324, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    """
    edges = sorted({edge for edge in deciles if math.isfinite(edge)})
    below = math.nextafter(least, -math.inf)
    if edges[:1] == [least] and math.isfinite(below):
        edges.insert(0, below)
    return Bins(edges=tuple(edges) or (least,))
