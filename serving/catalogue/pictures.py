"""Small pictures of a feature's values: its distribution beside its baseline's, and its nulls over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from feature_specs.feature_shapes import FeatureShape

WIDTH, HEIGHT = 400, 110
_CATEGORIES = 8
#: Where quantiles stand for 1%, 50% and 99%.
_LOW, _MIDDLE, _HIGH = 1, 5, 9


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram, in the picture's units, with what it stands for."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class Share:
    """A category's share now and in the baseline, of 100; None where there is no baseline."""

    name: str
    now: float
    before: float | None


@dataclass(frozen=True)
class Picture:
    """What a page draws and says of a feature's values.

    Attributes:
        bars: of numbers; outline: an SVG path of the baseline's; empty where there is none.
        shares: of categories.
        nulls: an SVG path of the share of nulls over the last builds; empty for fewer than two.
        facts: name and text of each figure.
    """

    bars: tuple[Bar, ...]
    outline: str
    shares: tuple[Share, ...]
    nulls: str
    facts: tuple[tuple[str, str], ...]
    as_of: str


def draw(shape: FeatureShape, *, values: bool) -> Picture:
    """The picture of a feature.

    Args:
        values: whether categories may be named, which are values of entities.
    """
    spans = _spans(shape) if shape.kind == "number" and any(shape.counts) else []
    now = _densities(spans, shape.counts)
    before = _densities(spans, shape.baseline) if any(shape.baseline) else []
    most = max([*now, *before], default=0.0)
    bars = [
        Bar(x0, HEIGHT - HEIGHT * d / most, x1 - x0, HEIGHT * d / most, label)
        for (x0, x1, label), d in zip(_places(spans, shape.counts), now, strict=True)
    ]
    outline = _steps([(b.x, b.x + b.width) for b in bars], [d / most for d in before])
    return Picture(
        tuple(bars),
        outline,
        _shares(shape) if values and shape.kind == "category" else (),
        _line([rate for rate in shape.null_rates if rate is not None]),
        tuple(_facts(shape)),
        shape.as_of[:16].replace("T", " "),
    )


def number(value: float) -> str:
    """A number in few digits.

    >>> number(1234567.0), number(0.0312345), number(16.0)
    ('1,234,567', '0.03123', '16')
    """
    if abs(value) >= 1_000:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:.4g}"


def _facts(shape: FeatureShape) -> list[tuple[str, str]]:
    facts = [("Entities", f"{shape.rows:,}")]
    if shape.rows:
        facts.append(("Null", f"{100 * shape.nulls / shape.rows:.3g}%"))
    if shape.nans:
        facts.append(("Not a number", f"{100 * shape.nans / shape.rows:.3g}%"))
    if shape.distinct is not None:
        facts.append(("Distinct", f"{shape.distinct:,}"))
    if shape.mean is not None:
        facts.append(("Mean", number(shape.mean)))
    if len(shape.quantiles) > _HIGH:
        facts.append(("Median", number(shape.quantiles[_MIDDLE])))
        low, high = number(shape.quantiles[_LOW]), number(shape.quantiles[_HIGH])
        facts.append(("From 1% to 99%", f"{low} to {high}"))
    return facts


def _spans(shape: FeatureShape) -> list[tuple[float, float]]:
    """Lower and upper end of each bin; the outer ones end where 1% and 99% of the values lie."""
    if not shape.edges or len(shape.quantiles) <= _HIGH:
        return []
    low = min(shape.quantiles[_LOW], shape.edges[0])
    high = max(shape.quantiles[_HIGH], shape.edges[-1])
    ends = [low, *shape.edges, high]
    # A bin of one value has no width of its own; beside large values a small one is lost.
    least = max((high - low) / 40, 1e-9 * max(abs(low), abs(high))) or 1.0
    if not isfinite(high - low + least):
        return []
    return [(a, max(b, a + least)) for a, b in pairwise(ends)]


def _densities(spans: Sequence[tuple[float, float]], counts: Sequence[int]) -> list[float]:
    if len(spans) != len(counts):
        return []
    total = sum(counts)
    return [n / total / (b - a) for (a, b), n in zip(spans, counts, strict=True)]


def _places(
    spans: Sequence[tuple[float, float]], counts: Sequence[int]
) -> list[tuple[float, float, str]]:
    if not spans or len(spans) != len(counts):
        return []
    first, last = spans[0][0], spans[-1][1]
    wide, total = (last - first) or 1.0, sum(counts)
    return [
        (
            WIDTH * (a - first) / wide,
            WIDTH * (min(b, last) - first) / wide,
            f"{number(a)} to {number(b)}: {100 * n / total:.3g}%",
        )
        for (a, b), n in zip(spans, counts, strict=True)
    ]


def _steps(places: Sequence[tuple[float, float]], heights: Sequence[float]) -> str:
    if len(places) != len(heights) or not places:
        return ""
    points = [f"M{places[0][0]:.1f} {HEIGHT}"]
    for (x0, x1), height in zip(places, heights, strict=True):
        y = HEIGHT - HEIGHT * height
        points.append(f"L{x0:.1f} {y:.1f}L{x1:.1f} {y:.1f}")
    return "".join([*points, f"L{places[-1][1]:.1f} {HEIGHT}"])


def _shares(shape: FeatureShape) -> tuple[Share, ...]:
    names = [*shape.categories, "all others"]
    total, base = sum(shape.counts), sum(shape.baseline)
    if len(names) != len(shape.counts) or not total:
        return ()
    found = [
        Share(name, 100 * n / total, 100 * shape.baseline[i] / base if base else None)
        for i, (name, n) in enumerate(zip(names, shape.counts, strict=True))
        if n or (base and shape.baseline[i])
    ]
    return tuple(sorted(found, key=lambda share: -share.now)[:_CATEGORIES])


def _line(rates: Sequence[float]) -> str:
    if len(rates) < 2:
        return ""
    step = WIDTH / (len(rates) - 1)
    points = [f"{i * step:.1f} {28 - 26 * rate:.1f}" for i, rate in enumerate(rates)]
    return "M" + "L".join(points)
