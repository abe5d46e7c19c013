"""How far a feature's values have drifted from a baseline: PSI, Jensen-Shannon, Kolmogorov-Smirnov.

PSI and the Jensen-Shannon distance are of histograms over the same bins, with one bin more for
what is missing (null or NaN), so that a feature that turns null drifts too. An empty bin counts as
`FLOOR` for PSI, whose logarithm it has none without; Jensen-Shannon needs no floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from feature_specs.drift_options import Thresholds
from lakehouse.statistics.feature_statistics import FeatureStatistics

#: The least share of a bin in PSI.
FLOOR = 1e-4


@dataclass(frozen=True)
class Drift:
    """A feature's drift from one baseline.

    Attributes:
        against: what it is compared with, for people.
        now, before: what is compared.
        psi, js: None where the histograms are not over the same bins.
        ks: of numbers, among the values that are there; None of all else.
        over: the measures that are greater than their threshold.
        why_not: why it is not judged; empty where it is.
    """

    view: str
    feature: str
    against: str
    now: FeatureStatistics
    before: FeatureStatistics
    psi: float | None
    js: float | None
    ks: float | None
    over: tuple[str, ...] = ()
    why_not: str = ""


def measure_drift(
    now: FeatureStatistics,
    before: FeatureStatistics,
    against: str,
    thresholds: Thresholds,
    *,
    ks: float | None = None,
) -> Drift:
    """Compare statistics of a feature with those of a baseline.

    Args:
        ks: Kolmogorov-Smirnov of the values themselves, where they were at hand. Else it is read at
            the edges of the bins, where it is at most what it is of the values.
    """
    why = _why_not(now, before, thresholds)
    psi = js = None
    if now.bins == before.bins and now.bins is not None:
        shares = shares_of(now), shares_of(before)
        psi, js = population_stability(*shares), jensen_shannon(*shares)
        if ks is None and now.kind == "number":
            ks = kolmogorov_smirnov(now.counts, before.counts)
    measured = {"psi": psi, "js": js, "ks": ks}
    limits = {"psi": thresholds.psi, "js": thresholds.js, "ks": thresholds.ks}
    over = tuple(
        name
        for name, value in measured.items()
        if not why and value is not None and (most := limits[name]) is not None and value > most
    )
    return Drift(now.view, now.feature, against, now, before, psi, js, ks, over, why)


def _why_not(now: FeatureStatistics, before: FeatureStatistics, thresholds: Thresholds) -> str:
    if now.meaning != before.meaning:
        return "the feature has changed its meaning since"
    if now.kind not in ("number", "category"):
        return f"values of type {now.type} have no histogram"
    if now.bins is None or before.bins is None:
        return "there was no value to lay bins by"
    if now.bins != before.bins:
        return "the bins are others than then"
    if min(now.rows, before.rows) < thresholds.rows:
        return f"fewer than {thresholds.rows:g} rows"
    return ""


def shares_of(entry: FeatureStatistics) -> list[float]:
    """The shares of all values that are in each bin, and last of those that are missing."""
    present = sum(entry.counts)
    missing = entry.missing / entry.rows if entry.rows else 0.0
    there = [count / present if present else 0.0 for count in entry.counts]
    return [*(share * (1 - missing) for share in there), missing]


def population_stability(now: Sequence[float], before: Sequence[float]) -> float:
    """PSI of two lists of shares: sum of (now - before) * ln(now / before), empty bins at FLOOR.

    >>> population_stability([0.5, 0.5], [0.5, 0.5])
    0.0
    """
    floored = ((max(p, FLOOR), max(q, FLOOR)) for p, q in zip(now, before, strict=True))
    return math.fsum((p - q) * math.log(p / q) for p, q in floored)


def jensen_shannon(now: Sequence[float], before: Sequence[float]) -> float:
    """Jensen-Shannon distance to base 2 of two lists of shares: 0 of equal ones, 1 of disjoint ones.

    >>> jensen_shannon([1.0, 0.0], [0.0, 1.0])
    1.0
    """
    pairs = list(zip(now, before, strict=True))
    divergence = math.fsum(
        share * math.log2(2 * share / (p + q)) / 2
        for p, q in pairs
        for share in (p, q)
        if share > 0
    )
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def kolmogorov_smirnov(now: Sequence[int], before: Sequence[int]) -> float | None:
    """The greatest difference of two distribution functions at the edges of their bins.

    None where either side has no value.

    >>> kolmogorov_smirnov([2, 2], [4, 0])
    0.5
    """
    total, base = sum(now), sum(before)
    if not total or not base:
        return None
    greatest, up, down = 0.0, 0, 0
    for a, b in zip(now, before, strict=True):
        up, down = up + a, down + b
        greatest = max(greatest, abs(up / total - down / base))
    return greatest
