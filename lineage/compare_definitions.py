"""What differs between two definitions of a feature view, in the author's terms."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feature_specs.durations import duration_text
from lineage.trace_changes import features_reached

#: How long an expression is shown.
_LONGEST = 160
#: What every feature depends on.
_OF_ALL = ("entities", "event_time", "ttl", "boundary", "tie_break", "compiler", "keys", "leaves")

_TYPE_OF_FEATURE, _TYPE_OF_ENTITY = "type of feature ", "type of entity "


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        what: the feature, clause, option or leaf.
        old, new: as SQL or as YAML would say it; None where there is none.
        at_reading: whether it is applied when features are read, so that no table is recomputed.
    """

    what: str
    old: str | None
    new: str | None
    at_reading: bool = False

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.what}: added {self.new}"
        if self.new is None:
            return f"{self.what}: removed {self.old}"
        return f"{self.what}: {self.old} -> {self.new}"


def compare_definitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every difference; none where both mean the same."""
    return (*_options(old, new), *_features(old, new), *_queries(old, new), *_leaves(old, new))


def changed_features(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The features of the new definition that were not there or may have other values now.

    All of them, where it is not proved which (``trace_changes``).
    """
    reached = features_reached(old, new)
    if reached is None or any(old[part] != new[part] for part in _OF_ALL):
        return tuple(new["features"])
    return tuple(
        n for n, f in new["features"].items() if n in reached or old["features"].get(n) != f
    )


def removed_features(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The features that the new definition lacks."""
    return tuple(n for n in old["features"] if n not in new["features"])


def _options(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in ("entities", "event_time", "boundary", "tie_break", "compiler"):
        was, now = _listed(old[name]), _listed(new[name])
        if was != now:
            yield Change(name, was, now)
    if old["ttl"] != new["ttl"]:
        yield Change("ttl", duration_text(old["ttl"]), duration_text(new["ttl"]), at_reading=True)


def _features(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = old["features"], new["features"]
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name, {}), after.get(name, {})
        at_reading = all(f.get("at_reading", True) for f in (was, now))
        if was.get("sql") != now.get("sql"):
            yield Change(f"feature {name}", _text(was), _text(now), at_reading)
        if was and now and was["type"] != now["type"]:
            yield Change(f"{_TYPE_OF_FEATURE}{name}", was["type"], now["type"], at_reading)
    for name in dict.fromkeys([*old["keys"], *new["keys"]]):
        if old["keys"].get(name) != new["keys"].get(name):
            yield Change(
                f"column {name}",
                _shortened(old["keys"].get(name)),
                _shortened(new["keys"].get(name)),
            )

    types = old.get("key_types", {})  # not recorded by an earlier forebay
    for name, now in new.get("key_types", {}).items():
        if types.get(name, now) != now:
            yield Change(f"{_TYPE_OF_ENTITY}{name}", types[name], now)


def services_hit(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[Change, tuple[str, ...]]:
    """What services get of another type, or have to ask for by another key, than by the old
    definition: each change, and whom it hits. Features that are gone are not among it."""
    had: Mapping[str, Sequence[str]] = old.get("services", {})
    kept = {
        service: {name for name in features if name in had[service]}
        for service, features in new.get("services", {}).items()
        if service in had
    }
    renamed = set(old["entities"]) != set(new["entities"])  # another order is asked as before
    hit = {}
    for change in compare_definitions(old, new):
        feature = change.what.removeprefix(_TYPE_OF_FEATURE)
        if change.what.startswith(_TYPE_OF_ENTITY) or (change.what == "entities" and renamed):
            hit[change] = tuple(kept)
        elif feature != change.what:
            hit[change] = tuple(s for s, features in kept.items() if feature in features)
    was, now = old.get("asked", {}), new.get("asked", {})  # not recorded by an earlier forebay
    for service in kept:
        for name, keys in was.get(service, {}).items():
            if now[service].get(name) != keys:
                what = f"{name} in service {service}"
                change = Change(what, _asked(keys), _asked(now[service].get(name)))
                hit[change] = (service,)
    for change, services in _sent(old, new, kept):
        hit[change] = services
    return {change: services for change, services in hit.items() if services}


def _sent(
    old: Mapping[str, Any], new: Mapping[str, Any], kept: Mapping[str, Collection[str]]
) -> Iterator[tuple[Change, tuple[str, ...]]]:
    """Values that callers of a service have to send now and did not, or of another type, or that
    they send and no feature of theirs takes any more: a server refuses what no view asks for."""
    if "requests" not in old:
        return  # not recorded by an earlier forebay
    hit: dict[Change, list[str]] = {}
    for service in kept:
        had, has = (
            {
                name: kind
                for feature in made.get("services", {}).get(service, ())
                for name, kind in made["requests"].get(feature, {}).items()
            }
            for made in (old, new)
        )
        for name in dict.fromkeys([*had, *has]):
            if had.get(name) != has.get(name):
                change = Change(f"request value {name}", had.get(name), has.get(name))
                hit.setdefault(change, []).append(service)
    yield from ((change, tuple(services)) for change, services in hit.items())


def _asked(keys: Mapping[str, str] | None) -> str | None:
    if not keys:
        return None if keys is None else "by its own keys"
    return "by " + ", ".join(f"{key} for {entity}" for entity, key in keys.items())


def _text(feature: Mapping[str, Any]) -> str | None:
    return _shortened(feature["sql"]) if feature else None


def _queries(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for path in dict.fromkeys([*old["queries"], *new["queries"]]):
        of = f"in {path}, " if path else ""
        was, now = old["queries"].get(path), new["queries"].get(path)
        if was is None or now is None:
            yield Change(f"subquery {path}", was and _select_list(was), now and _select_list(now))
            continue
        for clause in dict.fromkeys([*was, *now]):
            yield from _clause(f"{of}{clause}", was.get(clause), now.get(clause))


def _select_list(query: Mapping[str, Any]) -> str | None:
    return _shortened("select " + ", ".join(query.get("columns", ())))


def _clause(what: str, was: Any, now: Any) -> Iterator[Change]:
    if was == now:
        return
    if isinstance(was or now, dict):
        was, now = was or {}, now or {}
        place = what.removesuffix("columns")
        for name in dict.fromkeys([*was, *now]):
            if was.get(name) != now.get(name):
                yield Change(
                    f"{place}column {name}", _shortened(was.get(name)), _shortened(now.get(name))
                )
    elif isinstance(was or now, list):
        was, now = was or [], now or []
        gone = [_shortened(c) for c in was if c not in now]
        come = [_shortened(c) for c in now if c not in was]
        if gone or come:
            yield Change(what, _joined(gone), _joined(come))
    else:
        yield Change(what, _shortened(was), _shortened(now))


def _leaves(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for leaf in dict.fromkeys([*old["leaves"], *new["leaves"]]):
        was, now = old["leaves"].get(leaf), new["leaves"].get(leaf)
        name = _shortened(leaf)
        if was is None or now is None:
            yield Change(f"leaf {name}", was and was["role"], now and now["role"])
            continue
        for field in dict.fromkeys([*was, *now]):
            if was.get(field) != now.get(field):
                yield Change(f"{field} of leaf {name}", was.get(field), now.get(field))


def _joined(conditions: list[str | None]) -> str | None:
    return " and ".join(c for c in conditions if c) or None


def _listed(value: Any) -> str | None:
    text = ", ".join(map(str, value)) if isinstance(value, list) else value
    return None if text in (None, "") else str(text)


def _shortened(sql: str | None) -> str | None:
    """SQL without the quotes that plain names need not have, and not too long."""
    if sql is None:
        return None
    text = re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", sql)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
