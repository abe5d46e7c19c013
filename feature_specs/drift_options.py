"""Thresholds of drift, as an author writes them in ``config.meta.feature_view.drift``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from feature_specs.errors import Location, SpecError, UnknownNameError, did_you_mean


@dataclass(frozen=True)
class Thresholds:
    """How far a feature may drift from its baseline, and from how many values that is judged.

    Attributes:
        psi: population stability index; 0.1 is commonly taken for little, 0.25 for much.
        js: Jensen-Shannon distance to base 2, from 0 to 1; None judges nothing by it.
        ks: Kolmogorov-Smirnov statistic of numbers, from 0 to 1; None judges nothing by it.
        rows: with fewer rows on either side nothing is judged: chance alone would look like drift.
    """

    psi: float | None = 0.25
    js: float | None = None
    ks: float | None = None
    rows: float = 100


_NAMES = tuple(f.name for f in fields(Thresholds))


def read_drift(raw: object, path: str, where: Location | str) -> dict[str, dict[str, float]]:
    """Validate thresholds: of the whole view under "", beside them those of single features.

    >>> read_drift({"psi": 0.2, "features": {"delay": {"ks": 0.1}}}, "drift", "views.yml")
    {'': {'psi': 0.2}, 'delay': {'ks': 0.1}}

    Raises:
        SpecError: a field is unknown, or no number of its range.
    """
    if raw is None:
        return {}
    given = dict(_mapping(raw, path, where))
    features = _mapping(given.pop("features", {}), f"{path}.features", where)
    found = {"": _numbers(given, path, where, (*_NAMES, "features"))}
    for name, said in features.items():
        inner = f"{path}.features.{name}"
        found[str(name)] = _numbers(_mapping(said, inner, where), inner, where, _NAMES)
    return found


def thresholds_of(drift: Mapping[str, Mapping[str, float]], feature: str) -> Thresholds:
    """The thresholds of a feature: its own, else the view's, else the defaults."""
    return Thresholds(**{**drift.get("", {}), **drift.get(feature, {})})


def declares(drift: Mapping[str, Mapping[str, float]], feature: str) -> bool:
    """Whether a threshold of a measure is declared for a feature, by itself or by its view."""
    return any({"psi", "js", "ks"} & drift.get(name, {}).keys() for name in ("", feature))


def check_drifting(
    drift: Mapping[str, Mapping[str, float]], features: Sequence[str], view: str
) -> None:
    """Raises UnknownNameError where thresholds are of a feature that the view lacks."""
    for name in drift:
        if name and name not in features:
            raise UnknownNameError(
                f"feature view {view!r} has no feature {name!r}",
                where=f"{view}, config.meta.feature_view.drift.features",
                hint=did_you_mean(name, features),
            )


def _mapping(raw: object, path: str, where: Location | str) -> Mapping[str, object]:
    if isinstance(raw, Mapping):
        return raw
    raise SpecError(f"{path} is not a mapping", where=where, hint="write such as `{psi: 0.2}`")


def _numbers(
    given: Mapping[str, object], path: str, where: Location | str, known: tuple[str, ...]
) -> dict[str, float]:
    out = {}
    for name, value in given.items():
        if name not in _NAMES:
            hint = did_you_mean(str(name), known)
            raise SpecError(f"{path} has no field {name!r}", where=where, hint=hint)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        most = 1.0 if name in ("js", "ks") else math.inf
        if not number or not 0 <= float(value) <= most:  # type: ignore[arg-type]
            raise SpecError(
                f"{path}.{name} is {value!r}",
                where=where,
                hint=f"write a number from 0 to {most:g}"
                if most == 1
                else "write a number from 0 on",
            )
        out[str(name)] = float(value)  # type: ignore[arg-type]
    return out
