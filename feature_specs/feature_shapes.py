"""statistics.json: what the catalogue draws of each feature's values, as the last build left them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

#: The file, beside catalog.json.
SHAPES = "statistics.json"
FORMAT = 1


@dataclass(frozen=True)
class FeatureShape:
    """Counts and bins of one feature's values.

    Attributes:
        meaning: definition hash of the view then.
        as_of: the instant of the values, ISO 8601.
        kind: ``number``, ``category``, ``time`` or ``other``.
        quantiles: at 0, 1, 5, 10, 25, 50, 75, 90, 95, 99 and 100%; empty where there are none.
        edges, categories: of the bins, as `lakehouse.statistics.Bins` has them.
        counts: of each bin now; baseline: of each bin when the bins were laid, or empty.
        null_rates: of the last builds, the oldest first; None of no rows.
    """

    meaning: str
    as_of: str
    kind: str
    rows: int
    nulls: int
    nans: int
    distinct: int | None
    mean: float | None
    stddev: float | None
    quantiles: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    baseline: tuple[int, ...] = ()
    null_rates: tuple[float | None, ...] = ()


def load_shapes(path: Path) -> Mapping[str, FeatureShape]:
    """By ``view:feature``; none where nothing was built yet, or by another version of forebay."""
    try:
        raw = orjson.loads(path.read_bytes())
        if raw["format"] != FORMAT:
            return {}
        lists = ("quantiles", "edges", "categories", "counts", "baseline", "null_rates")
        return {
            name: FeatureShape(**{**shape, **{n: tuple(shape[n]) for n in lists}})
            for name, shape in raw["features"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
