"""catalogue.json: descriptions, owners and lineage for the catalogue's pages, beside catalog.json.

Lookups need none of it, so that it is a file of its own, read when somebody opens a page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

#: The file, beside catalog.json.
FACTS = "catalogue.json"
_FORMAT = 2


@dataclass(frozen=True)
class Reach:
    """A source column that reaches a feature.

    Attributes:
        leaf: its name in the catalog.
        effects: how, in OpenLineage's words: ``AGGREGATION``, ``FILTER`` and the like.
    """

    leaf: str
    column: str
    effects: tuple[str, ...]


@dataclass(frozen=True)
class FeatureFacts:
    """What is known of one feature.

    Attributes:
        sql: its expression in canonical SQL; empty where it is a column of a subquery.
        tags: dbt tags of the column.
        sources: the source columns that reach its value, those that decide a view's rows apart.
    """

    sql: str = ""
    tags: tuple[str, ...] = ()
    sources: tuple[Reach, ...] = ()


@dataclass(frozen=True)
class ViewFacts:
    """What is known of a feature view.

    Attributes:
        definition_hash: of the view that this is said of (`ViewEntry.definition_hash`).
        sql: the author's text.
        model: the dbt model's name, which versions share.
        version: of the model; empty where it has none.
        latest_version: of the model.
        tags: dbt tags of the model.
        bounds: of each scan of a leaf, what bounds it in the point-in-time statement.
        rows: the source columns that decide which rows the view has, and so reach every feature.
        features: by name.
    """

    definition_hash: str
    sql: str = ""
    model: str = ""
    version: str = ""
    latest_version: str = ""
    tags: tuple[str, ...] = ()
    bounds: tuple[tuple[str, str], ...] = ()
    rows: tuple[Reach, ...] = ()
    features: Mapping[str, FeatureFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceFacts:
    """What dbt knows of a feature service's exposure."""

    label: str = ""
    maturity: str = ""
    url: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFacts:
    """What dbt knows of a leaf: its description, and that of its columns."""

    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Consumer:
    """Something of the project that reads feature views: a model, a training set, an exposure.

    Attributes:
        kind: ``model``, ``training set``, or the exposure's type.
        reads: names of the views; services: of the services whose training set it is or reads.
    """

    name: str
    kind: str
    owner: str = ""
    url: str = ""
    description: str = ""
    reads: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    @property
    def is_exposure(self) -> bool:
        """Rather than a model or a training set, which dbt's docs show."""
        return self.kind not in ("model", "training set")


@dataclass(frozen=True)
class GroupFacts:
    """A dbt group."""

    description: str = ""
    owner: str = ""


@dataclass(frozen=True)
class CatalogueFacts:
    """All that a project's people are told beside its catalog. Names are those of the catalog."""

    views: Mapping[str, ViewFacts] = field(default_factory=dict)
    services: Mapping[str, ServiceFacts] = field(default_factory=dict)
    sources: Mapping[str, SourceFacts] = field(default_factory=dict)
    groups: Mapping[str, GroupFacts] = field(default_factory=dict)
    consumers: tuple[Consumer, ...] = ()

    def dumps(self) -> str:
        """The facts as JSON text, an entry a line."""
        fields = {"format": _FORMAT, **vars(self)}
        return "{" + ",".join(f"\n{json.dumps(n)}: {_json(v)}" for n, v in fields.items()) + "\n}\n"


def load_facts(path: Path) -> CatalogueFacts:
    """The facts of a project; none where the file is missing or of another version of forebay.

    The pages then tell less, and what they tell is of catalog.json.
    """
    try:
        return parse_facts(path.read_text())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return CatalogueFacts()


def parse_facts(text: str) -> CatalogueFacts:
    """The facts of `CatalogueFacts.dumps`. Raises ValueError where it is of another version."""
    raw = orjson.loads(text)
    if raw.pop("format") != _FORMAT:
        raise ValueError("written by another version of forebay")
    return CatalogueFacts(
        views={name: _view(view) for name, view in raw["views"].items()},
        services={n: ServiceFacts(**_tupled(v, "tags")) for n, v in raw["services"].items()},
        sources={n: SourceFacts(**_tupled(v, "tags")) for n, v in raw["sources"].items()},
        groups={n: GroupFacts(**v) for n, v in raw["groups"].items()},
        consumers=tuple(Consumer(**_tupled(c, "reads", "services")) for c in raw["consumers"]),
    )


def _view(raw: dict[str, Any]) -> ViewFacts:
    features = {
        n: FeatureFacts(f["sql"], tuple(f["tags"]), _reaches(f["sources"]))
        for n, f in raw["features"].items()
    }
    known = {"bounds": tuple(map(tuple, raw["bounds"])), "rows": _reaches(raw["rows"])}
    return ViewFacts(**{**_tupled(raw, "tags"), **known, "features": features})


def _reaches(raw: list[dict[str, Any]]) -> tuple[Reach, ...]:
    return tuple(_reach(r["leaf"], r["column"], *r["effects"]) for r in raw)


@lru_cache(maxsize=10_000)
def _reach(leaf: str, column: str, *effects: str) -> Reach:
    """One object for all features that a column reaches in the same way."""
    return Reach(leaf, column, effects)


def _tupled(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    return raw | {name: tuple(raw[name]) for name in names if name in raw}


def _json(value: object) -> str:
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value, default=vars)
    lines = (f"\n  {json.dumps(k)}: {json.dumps(v, default=vars)}" for k, v in value.items())
    return "{" + ",".join(lines) + "\n}"
