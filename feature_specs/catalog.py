"""catalog.json: what was compiled, as everything after the compiler reads it.

Serving reads nothing else, so this module imports neither dbt nor SQLGlot nor an engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from feature_specs.access import ViewAccess
from feature_specs.errors import ForebayError, UnknownNameError, did_you_mean
from feature_specs.lake_properties import public_lake
from feature_specs.retention import Retention
from feature_specs.view_entry import Column, Expression, Feature, Role, ViewEntry

__all__ = [
    "Catalog",
    "Column",
    "Expression",
    "Feature",
    "LeafEntry",
    "LeftOut",
    "Origin",
    "Role",
    "ServiceEntry",
    "TrainingSetEntry",
    "ViewEntry",
    "load_catalog",
]

FORMAT = 4

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class ServiceEntry:
    """A feature service: what one model reads. Features are ``[view, feature]`` pairs in order.

    A view may be named by a role of it (`Catalog.roles`).

    Attributes:
        no_past: why no training set can be made of it; mostly empty.
    """

    name: str
    features: tuple[tuple[str, str], ...]
    owner: str = ""
    description: str = ""
    file: str = ""
    no_past: str = ""


@dataclass(frozen=True)
class Origin:
    """The dbt node that a leaf's rows in Iceberg are copied from.

    Attributes:
        node: its unique id.
        relation: its table in the project's own database.
        version_id: of a snapshot the column that tells its versions apart.
    """

    node: str
    relation: str
    version_id: str = ""


@dataclass(frozen=True)
class LeafEntry:
    """Where a leaf's rows are: the relation that SQL names, and the Iceberg table behind it.

    Attributes:
        times: what says when a row counts: ``event_time``, ``loaded_at``, ``valid_from`` and
            ``valid_to`` name columns; beside them ``valid_to_open``, ``valid_to_inclusive`` (where
            it is so), ``timezone``, ``date_visible``.
        key: of a changelog.
        origin: where its rows come from, if from a dbt node; None for a source.
        columns: names and DuckDB types of the Iceberg table's columns, for which the views over it
            were compiled; empty where none was.
    """

    name: str
    relation: str
    table: str
    role: str
    written: str = "append"
    times: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    origin: Origin | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingSetEntry:
    """A training-set model: which service it holds and where its table is."""

    name: str
    unique_id: str
    service: str
    table: str


@dataclass(frozen=True)
class LeftOut:
    """A view or service that could not be compiled, and why."""

    name: str
    what: str
    where: str
    hint: str

    def problem(self) -> UnknownNameError:
        """The error for a request that asks for it."""
        return UnknownNameError(self.what, where=self.where, hint=self.hint)


@dataclass(frozen=True)
class Catalog:
    """All that was compiled. Paths are absolute.

    Attributes:
        lake: what opens the Iceberg catalog; only name and place of it are written down.
        compiler: the version of forebay that compiled it.
        compiler_version: of the meaning that the compiler gives to a query; 0 where not known.
        root: the project's folder then.
        relations: of every source with an Iceberg table, leaf or not, and of every other leaf,
            to that table.
        compiled_from: unique id of each dbt node that decides what a view or service means to
            digests of what it was, as lakehouse.dbt_definitions makes them.
        left_out: by unique id, the views and services that could not be compiled, since a leaf's
            table cannot be read.
        roles: by name, views as services read them by other keys.
        access: of each view and role by name, those left out too; empty where an older version compiled.
        groups: names of dbt's groups.
        retention: of each Iceberg table whose source says so, how long its rows are kept.
    """

    project: str
    lake: Mapping[str, str]
    online: str
    now: str | None = None
    compiler: str = ""
    compiler_version: int = 0
    root: str = ""
    relations: Mapping[str, str] = field(default_factory=dict)
    leaves: Mapping[str, LeafEntry] = field(default_factory=dict)
    views: Mapping[str, ViewEntry] = field(default_factory=dict)
    services: Mapping[str, ServiceEntry] = field(default_factory=dict)
    training_sets: Mapping[str, TrainingSetEntry] = field(default_factory=dict)
    compiled_from: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    access: Mapping[str, ViewAccess] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    groups: Sequence[str] = ()
    retention: Mapping[str, Retention] = field(default_factory=dict)

    def view(self, name: str, where: str = "VIEW") -> ViewEntry:
        """The feature view of that name. Raises UnknownNameError with the closest names.

        Args:
            where: what holds the name, for the error; else the argument that commands call so.
        """
        self._check_compiled("model", name)
        return _find(
            self.views if name in self.views else self.readable, name, "feature view", where
        )

    @property
    def readable(self) -> dict[str, ViewEntry]:
        """What features can be asked of: the views, and the roles that services read them in."""
        roles = {
            name: role.entry(name, self.views[role.view])
            for name, role in self.roles.items()
            if role.view in self.views
        }
        return {**roles, **self.views}

    def aliases_in(self, features: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Of features, each a view or role and a name, those that are aliases, to their own names."""
        found = {(v, f): self.view(v).feature(f).alias_of for v, f in features}
        return {named: own for named, own in found.items() if own}

    def view_behind(self, name: str) -> str:
        """The name of the view itself, of a view's or a role's."""
        return self.roles[name].view if name in self.roles and name not in self.views else name

    def service(self, name: str, where: str = "SERVICE") -> ServiceEntry:
        """The feature service of that name. Raises UnknownNameError with the closest names.

        Args:
            where: what holds the name, for the error; else the argument that commands call so.
        """
        self._check_compiled("exposure", name)
        return _find(self.services, name, "feature service", where)

    def views_left_out(self) -> list[LeftOut]:
        """The views that could not be compiled."""
        return [out for i, out in self.left_out.items() if i.startswith("model.")]

    def _check_compiled(self, kind: str, name: str) -> None:
        for unique_id, out in self.left_out.items():
            if out.name == name and unique_id.startswith(f"{kind}."):
                raise out.problem()

    def dumps(self) -> str:
        """The catalog as JSON text, one entry per line; without what only opens the lake."""
        fields = {"format": FORMAT, **vars(self), "lake": public_lake(self.lake)}
        return "{" + ",".join(f"\n{json.dumps(n)}: {_json(v)}" for n, v in fields.items()) + "\n}\n"


_COMPILE = "run `forebay compile`"


def load_catalog(path: Path) -> Catalog:
    """Read catalog.json.

    Raises:
        ForebayError: it is not there, not JSON, or of another format.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise ForebayError(
            "nothing is compiled yet: no catalog.json", where=str(path), hint=_COMPILE
        ) from None
    except UnicodeDecodeError as error:
        raise ForebayError(f"not JSON: {error}", where=str(path), hint=_COMPILE) from None
    return parse_catalog(text, str(path))


def parse_catalog(text: str, where: str) -> Catalog:
    """The catalog of `Catalog.dumps`.

    Args:
        where: what holds the text, for errors.

    Raises:
        ForebayError: it is not JSON, or of another format.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise ForebayError(f"not JSON: {error}", where=where, hint=_COMPILE) from None
    if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
        raise _of_another_version(where)
    try:
        return _catalog(raw)
    except (TypeError, KeyError, AttributeError, ValueError):
        # Of one format, a later version may write more than this one knows.
        raise _of_another_version(where) from None


def _of_another_version(where: str) -> ForebayError:
    return ForebayError("written by another version of forebay", where=where, hint=_COMPILE)


def _catalog(raw: dict[str, Any]) -> Catalog:
    raw["leaves"] = {k: _leaf(v) for k, v in raw["leaves"].items()}
    raw["views"] = {k: _view(v) for k, v in raw["views"].items()}
    raw["services"] = {k: _service(v) for k, v in raw["services"].items()}
    raw["left_out"] = {k: LeftOut(**v) for k, v in raw["left_out"].items()}
    raw["training_sets"] = {k: TrainingSetEntry(**v) for k, v in raw["training_sets"].items()}
    raw["roles"] = {k: Role(**v) for k, v in raw.get("roles", {}).items()}
    raw["access"] = {k: ViewAccess(**v) for k, v in raw.get("access", {}).items()}
    kept = raw.get("retention", {})
    raw["retention"] = {k: Retention(tuple(v["columns"]), v["keep_us"]) for k, v in kept.items()}
    raw["groups"] = tuple(raw.get("groups", ()))
    return Catalog(**raw)


def _json(value: object) -> str:
    """A mapping with each of its entries on a line of its own; json's indent is many times slower."""
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value, default=vars)
    lines = (f"\n  {json.dumps(k)}: {json.dumps(v, default=vars)}" for k, v in value.items())
    return "{" + ",".join(lines) + "\n}"


def _view(raw: dict[str, Any]) -> ViewEntry:
    for name in ("entities", "stored", "requests"):
        raw[name] = tuple(Column(**c) for c in raw[name])
    raw["features"] = tuple(Feature(**f) for f in raw["features"])
    raw["aliases"] = tuple(Feature(**f) for f in raw.get("aliases", ()))
    raw["leaves"] = tuple(raw["leaves"])
    raw["assumptions"] = tuple(raw["assumptions"])
    return ViewEntry(**raw)


def _leaf(raw: dict[str, Any]) -> LeafEntry:
    if raw.get("origin") is not None:
        raw["origin"] = Origin(**raw["origin"])
    return LeafEntry(**raw)


def _service(raw: dict[str, Any]) -> ServiceEntry:
    raw["features"] = tuple((view, feature) for view, feature in raw["features"])
    return ServiceEntry(**raw)


def _find(known: Mapping[str, _Entry], name: str, kind: str, where: str) -> _Entry:
    if name not in known:
        raise UnknownNameError(
            f"no {kind} is named {name!r}", where=where, hint=did_you_mean(name, known)
        )
    return known[name]
