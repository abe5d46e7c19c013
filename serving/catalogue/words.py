"""Durations, freshness and the leak certificate, in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from feature_specs.catalog import LeafEntry, ViewEntry
from feature_specs.catalogue_facts import ViewFacts

_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000))

#: What a status of serving means to whoever reads a value.
STATUSES = {
    "fresh": "fresh",
    "stale": "older than its owner promises",
    "unsynced": "not in the online store yet",
    "outdated": "the online store holds an earlier definition",
    "failed": "cannot be served",
}
_ON_STALE = {
    "serve": "stale values are served as they are",
    "null": "stale values read as null",
    "error": "a lookup of stale values is an error",
}


#: How a source column reaches a feature, by OpenLineage's word for it.
EFFECTS = {
    "IDENTITY": "as it is",
    "TRANSFORMATION": "computed with",
    "AGGREGATION": "aggregated",
    "JOIN": "joins rows",
    "GROUP_BY": "groups rows",
    "FILTER": "filters rows",
    "SORT": "orders rows",
    "WINDOW": "frames rows",
    "CONDITIONAL": "decides a case",
}


@dataclass(frozen=True)
class LeafWords:
    """What a certificate says of one source.

    Attributes:
        name: as pages show it.
        rule: when a row of it counts, in words.
        bounds: what the checker found in the compiled SQL, for each scan.
    """

    name: str
    rule: str
    bounds: tuple[str, ...]


def duration(us: int) -> str:
    """A length of time in microseconds, in its two greatest units: ``2 d 3 h``."""
    parts: list[str] = []
    sign, rest = ("-" if us < 0 else ""), abs(us)
    for unit, size in _UNITS:
        if rest >= size and len(parts) < 2:
            parts.append(f"{rest // size} {unit}")
            rest %= size
    return sign + " ".join(parts) if parts else "0 s"


def on_stale(view: ViewEntry) -> str:
    """What is answered once a view is stale."""
    return _ON_STALE.get(view.on_stale, view.on_stale)


def certificate(
    view: ViewEntry, facts: ViewFacts | None, leaves: Iterable[tuple[str, LeafEntry]]
) -> list[LeafWords]:
    """What is proved of each source that a view reads.

    Args:
        leaves: of the view, with the name that pages show.
    """
    bounds = () if facts is None else facts.bounds
    return [
        LeafWords(
            name,
            visible_from(leaf),
            tuple(dict.fromkeys(bound for scanned, bound in bounds if scanned == leaf.name)),
        )
        for name, leaf in leaves
    ]


def visible_from(leaf: LeafEntry) -> str:
    """From when on a row of a source may be part of a value.

    >>> visible_from(LeafEntry("t", "t", "t", "event", times={"event_time": "paid_at"}))
    'A row counts from its paid_at on.'
    """
    times = leaf.times
    said = {
        "event": "A row counts from its {event_time} on.",
        "arrival": "A row counts from its {event_time} on, or from its {loaded_at}, when it came in, "
        "if that is later.",
        "history": "A version counts from its {valid_from} on{until}.",
        "changelog": "The latest change of a key counts from its {event_time} on, until the next.",
        "static": "Its rows do not change, by its author's word; they always count.",
    }.get(leaf.role, "Its rows count as the project declares.")
    if leaf.written == "mutable":
        return "It is rewritten in place, so only its present can be read, and no past."
    until = f" until its {times['valid_to']}" if times.get("valid_to") else ""
    return said.format_map(_Named({**times, "until": until}))


def anchor(text: str) -> str:
    """A text as an id: letters and digits, the rest as their codes."""
    return "".join(c if c.isalnum() and c.isascii() else f"-{ord(c):x}-" for c in text)


class _Named(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return key.replace("_", " ")
