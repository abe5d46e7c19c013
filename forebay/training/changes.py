"""Compare a training set with the previous one of its service."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forebay.dbt_project.project import Project
from lakehouse.training_record import FOOTER_KEY, Record, parse_record
from lakehouse.write_text import write_if_changed

#: What was before, and what is now.
Change = tuple[Any, Any]

_SETTINGS = ("spine", "timestamp", "lag_us", "timezone", "others", "forebay", "compiler")
_TABLE = ("uuid", "snapshot", "schema")


@dataclass(frozen=True)
class TrainingChanges:
    """How a training set differs from the last one. Changes are pairs of before and now.

    Attributes:
        since: when the last one was made, ISO 8601.
        added, removed: features.
        retyped: types of features.
        redefined: features of views that mean something else than they did.
        moved: ``uuid``, ``snapshot`` and ``schema`` of source tables.
        settings: ``spine``, ``timestamp``, ``lag_us``, ``timezone``, and the versions ``forebay``
            and ``compiler``.
    """

    since: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: Mapping[str, Change] = field(default_factory=dict)
    redefined: tuple[str, ...] = ()
    moved: Mapping[str, Change] = field(default_factory=dict)
    settings: Mapping[str, Change] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The changes for people, a line a kind; none where nothing changed."""
        said = [
            ("features added", ", ".join(self.added)),
            ("features removed", ", ".join(self.removed)),
            ("types changed", _pairs(self.retyped)),
            ("features redefined", ", ".join(self.redefined)),
            ("data changed", ", ".join(self.moved)),
            ("spine changed", _spines(self.settings.get("spine"))),
            ("settings changed", _settings(self.settings)),
        ]
        return [f"{kind}: {text}" for kind, text in said if text]


def compare(before: Record, now: Record) -> TrainingChanges:
    """What has changed from one record to another."""
    old, new = _by_name(before), _by_name(now)
    both = [name for name in new if name in old]
    return TrainingChanges(
        since=str(before.get("made_at")),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        retyped=_changed({n: (old[n]["type"], new[n]["type"]) for n in both}),
        redefined=tuple(n for n in both if _meaning(before, old[n]) != _meaning(now, new[n])),
        moved=_changed(_tables(before, now)),
        settings=_changed({n: (before.get(n), now.get(n)) for n in _SETTINGS}),
    )


def last_record(project: Project, service: str, out: Path) -> Record | None:
    """The record of the service's last training set: of the file at ``out``, else the one kept."""
    try:
        found = parse_record((pq.read_metadata(out).metadata or {}).get(FOOTER_KEY.encode()))
    except (OSError, pa.ArrowInvalid):
        found = None  # there is no file, or it is not Parquet
    if found is not None and found.get("service") == service:
        return found
    kept = _kept(project, service)
    return parse_record(kept.read_text()) if kept.exists() else None


def keep_record(project: Project, record: Record) -> None:
    """Keep a record as the last one of its service, wherever its file went."""
    write_if_changed(_kept(project, str(record["service"])), json.dumps(record, indent=2) + "\n")


def kept_records(project: Project) -> list[Record]:
    """The last record of each service."""
    found = [parse_record(f.read_text()) for f in (project.folder / "training").glob("*.json")]
    return [record for record in found if record is not None]


def _kept(project: Project, service: str) -> Path:
    return project.folder / "training" / f"{service}.json"


def _by_name(record: Record) -> dict[str, dict[str, Any]]:
    return {feature["name"]: feature for feature in record.get("features", [])}


def _meaning(record: Record, feature: Mapping[str, Any]) -> Any:
    view = record["views"][feature["view"]]
    # The one is of the stored rows, the other also of what is applied at reading, such as a ttl.
    hashes = (view["semantic_hash"], view.get("definition_hash"))
    return (feature["feature"], *hashes, view.get("keys"))


def _tables(before: Record, now: Record) -> dict[str, Change]:
    """The source tables that both have read: one that only one has is a feature redefined."""
    old = {leaf["table"]: leaf for leaf in before.get("leaves", {}).values()}
    new = {leaf["table"]: leaf for leaf in now.get("leaves", {}).values()}
    return {
        name: ({k: old[name][k] for k in _TABLE}, {k: new[name][k] for k in _TABLE})
        for name in new
        if name in old
    }


def _changed(pairs: Mapping[str, Change]) -> dict[str, Change]:
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _pairs(changes: Mapping[str, Change]) -> str:
    return ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items())


def _settings(changes: Mapping[str, Change]) -> str:
    shown = {name: pair for name, pair in changes.items() if name not in ("spine", "lag_us")}
    if "lag_us" in changes:
        before, now = (
            "unknown" if us is None else str(timedelta(microseconds=us)) for us in changes["lag_us"]
        )
        shown["lag"] = (before, now)
    return _pairs(shown)


def _spines(change: Change | None) -> str:
    if change is None:
        return ""
    return " -> ".join(_one_spine(spine or {}) for spine in change)


def _one_spine(spine: Mapping[str, Any]) -> str:
    name = spine.get("relation") or spine.get("path") or "unknown"
    facts: Iterable[str] = [f"{spine['rows']} rows"] if "rows" in spine else []
    return " ".join([str(name), *(f"({fact})" for fact in facts)])
