"""skew.json: how much of what was served of each feature differs from training, for the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

#: The file, beside catalog.json.
SKEWS = "skew.json"
_FORMAT = 1


@dataclass(frozen=True)
class SkewFigures:
    """Training-serving skew of one feature, as it was compared last.

    Attributes:
        meaning: definition hash of the view then.
        until: the instant up to which answers were compared, ISO 8601.
        values: how many were compared; differ: that training has otherwise for the same instant.
        broken: of these, those that are not what the view gives at the instant of the sync either.
    """

    meaning: str
    until: str
    values: int
    differ: int
    broken: int


def load_skews(path: Path) -> Mapping[str, SkewFigures]:
    """By ``view:feature``; none where nothing was compared yet, or by another version of forebay."""
    try:
        raw = orjson.loads(path.read_bytes())
        if raw["format"] != _FORMAT:
            return {}
        return {name: SkewFigures(**figures) for name, figures in raw["features"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def dump_skews(figures: Mapping[str, SkewFigures]) -> str:
    """The file's text."""
    features: dict[str, Any] = {name: asdict(each) for name, each in sorted(figures.items())}
    return orjson.dumps({"format": _FORMAT, "features": features}).decode() + "\n"
