"""``config.meta.feature_view``: what an author says of a view beyond its SQL."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, get_args

from feature_specs.aliases import Alias, read_aliases
from feature_specs.drift_options import read_drift
from feature_specs.durations import parse_duration
from feature_specs.errors import Location, SpecError, did_you_mean
from feature_specs.view import Boundary

_ON_STALE = ("serve", "null", "error")


@dataclass(frozen=True)
class ViewOptions:
    """The validated options of one view."""

    entities: tuple[str, ...]
    owner: str = ""
    ttl: timedelta | None = None
    freshness: timedelta | None = None
    on_stale: str = "serve"
    boundary: Boundary = "inclusive"
    tie_break: tuple[str, ...] = ()
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    aliases: Mapping[str, Alias] = field(default_factory=dict)


_FIELDS = (
    "entities",
    "owner",
    "ttl",
    "freshness",
    "on_stale",
    "boundary",
    "tie_break",
    "drift",
    "aliases",
)


def read_options(
    raw: object, where: Location | str, *, boundary: str | None = None, named: str = "feature_view"
) -> ViewOptions:
    """Validate the options.

    Args:
        raw: the YAML value of ``config.meta.feature_view``.
        boundary: the project's own default.

    Raises:
        SpecError: names the field that is missing, unknown or of a wrong kind.
    """
    path = f"config.meta.{named}"
    if not isinstance(raw, Mapping):
        raise SpecError(
            f"{path} is missing or not a mapping",
            where=where,
            hint=f"add `config: {{meta: {{{named}: {{entities: [<key column>]}}}}}}`",
        )
    for name in raw:
        if name not in _FIELDS:
            raise SpecError(
                f"{path} has no field {name!r}", where=where, hint=did_you_mean(str(name), _FIELDS)
            )
    values: dict[str, Any] = {"entities": _names(raw, "entities", path, where)}
    if not values["entities"]:
        raise SpecError(
            f"{path}.entities is missing", where=where, hint="add `entities: [<key column>]`"
        )
    values["tie_break"] = _names(raw, "tie_break", path, where)
    for name in ("ttl", "freshness"):
        if raw.get(name) is not None:
            values[name] = parse_duration(raw[name], field=f"{path}.{name}", where=where)
    owner = raw.get("owner", "")
    if not isinstance(owner, str):
        raise SpecError(f"{path}.owner is not text", where=where, hint="write a name or address")
    values["owner"] = owner
    values["on_stale"] = _one_of(raw.get("on_stale", "serve"), _ON_STALE, f"{path}.on_stale", where)
    values["boundary"] = _one_of(
        raw.get("boundary", boundary or "inclusive"), get_args(Boundary), f"{path}.boundary", where
    )
    values["drift"] = read_drift(raw.get("drift"), f"{path}.drift", where)
    values["aliases"] = read_aliases(raw.get("aliases"), f"{path}.aliases", where)
    return ViewOptions(**values)


def refuse_misspelt(
    raw: Mapping[str, Any], wanted: tuple[str, ...], path: str, where: Location | str
) -> None:
    """Refuse a mapping that has none of the wanted fields, but one whose name is nearly theirs.

    Raises:
        SpecError: names that field.
    """
    if any(raw.get(name) is not None for name in wanted):
        return
    for name in raw:
        close = difflib.get_close_matches(name, wanted, n=1, cutoff=0.85)
        if close and name not in wanted:
            raise SpecError(
                f"{path} has no field {name!r}", where=where, hint=f"did you mean {close[0]!r}?"
            )


def _names(raw: Mapping[str, Any], name: str, path: str, where: Location | str) -> tuple[str, ...]:
    value = raw.get(name, [])
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise SpecError(
            f"{path}.{name} is {value!r}, which is not a list of column names",
            where=where,
            hint=f"write `{name}: [<column>]`",
        )
    return tuple(value)


def _one_of(value: object, known: tuple[str, ...], path: str, where: Location | str) -> str:
    if value not in known:
        raise SpecError(
            f"{path} is {value!r}", where=where, hint="write " + " or ".join(map(str, known))
        )
    return str(value)
