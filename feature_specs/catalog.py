"""catalog.json: what was compiled, as everything after the compiler reads it.

Serving reads nothing else, so this module imports neither dbt nor SQLGlot nor an engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from feature_specs.errors import ForebayError, UnknownNameError, did_you_mean
from feature_specs.names import fold_name

FORMAT = 2

_Entry = TypeVar("_Entry")

#: A read-time expression as a JSON tree: ``["column", name]``, ``["clock"]``, ``["request", name]``,
#: ``["literal", value, type]`` or ``[operator, argument, ...]``.
Expression: TypeAlias = list[Any]


@dataclass(frozen=True)
class Column:
    """A column and its DuckDB type."""

    name: str
    type: str


@dataclass(frozen=True)
class Feature:
    """A feature: a stored column, or an expression over stored columns evaluated at reading."""

    name: str
    type: str
    description: str = ""
    expression: Expression | None = None

    @property
    def stored_as(self) -> str:
        """The feature table's column of a feature without an expression."""
        return fold_name(self.name)


@dataclass(frozen=True)
class ViewEntry:
    """A compiled feature view.

    Entities, features and event_time are spelled as the author has them. The feature table has them
    in lower case, as ``stored`` and expressions do: see `keys`, `time_column` and `stored_as`.

    Attributes:
        name: the name by which features are asked for.
        entities: key columns in key order.
        stored: columns of the feature table besides the keys and event_time, hidden ones included.
        features: what can be asked for, in the author's order.
        event_time: the event time column of a history view, else None.
        ttl_us: how long a history row counts, in microseconds, inclusive.
        freshness_us: how old the table may be before it is stale, in microseconds.
        on_stale: ``serve`` stale values, or read them as ``null``.
        table, history_table: Iceberg identifiers of the latest rows and of their log.
        leaves: names of the leaves it reads, as keys of Catalog.leaves.
        semantic_hash: of what decides the rows of the table.
        definition_hash: of that and of what is applied when features are read, ttl included.
    """

    name: str
    unique_id: str
    file: str
    semantic_hash: str
    entities: tuple[Column, ...]
    stored: tuple[Column, ...]
    features: tuple[Feature, ...]
    event_time: str | None
    ttl_us: int | None
    freshness_us: int | None
    on_stale: str
    table: str
    history_table: str
    leaves: tuple[str, ...]
    lowering: str
    owner: str = ""
    description: str = ""
    requests: tuple[Column, ...] = ()
    taken_on_word: tuple[str, ...] = ()
    definition_hash: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The feature table's key columns."""
        return tuple(fold_name(c.name) for c in self.entities)

    @property
    def time_column(self) -> str | None:
        """The feature table's column of event times."""
        return None if self.event_time is None else fold_name(self.event_time)

    def spelling(self, column: str) -> str:
        """The author's spelling of a column of the feature table."""
        return next(
            (f.name for f in self.features if f.expression is None and f.stored_as == column),
            column,
        )

    def feature(self, name: str) -> Feature:
        """The feature of that name, in whichever case.

        Raises:
            UnknownNameError: the view has no such feature.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        for feature in self.features:
            if fold_name(feature.name) == fold_name(name):
                return feature
        raise UnknownNameError(
            f"feature view {self.name!r} has no feature {name!r}",
            where=self.name,
            mend=did_you_mean(name, [f.name for f in self.features]),
        )


@dataclass(frozen=True)
class ServiceEntry:
    """A feature service: what one model reads. Features are ``[view, feature]`` pairs in order.

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
        columns: names and DuckDB types of the Iceberg table's columns, for which the views over it
            were compiled; empty where none was.
        version_id: of a snapshot the column that tells its versions apart.
    """

    node: str
    relation: str
    columns: Mapping[str, str] = field(default_factory=dict)
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
    """

    name: str
    relation: str
    table: str
    role: str
    written: str = "append"
    times: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    origin: Origin | None = None


@dataclass(frozen=True)
class TrainingSetEntry:
    """A training-set model: which service it holds and where its table is."""

    name: str
    unique_id: str
    service: str
    table: str


@dataclass(frozen=True)
class Catalog:
    """All that was compiled. Paths are absolute.

    Attributes:
        compiler: the version of forebay that compiled it.
        compiler_version: of the meaning that the compiler gives to a query; 0 where not known.
        relations: of every source with an Iceberg table, leaf or not, and of every other leaf,
            to that table.
    """

    project: str
    lake: Mapping[str, str]
    online: str
    now: str | None = None
    compiler: str = ""
    compiler_version: int = 0
    relations: Mapping[str, str] = field(default_factory=dict)
    leaves: Mapping[str, LeafEntry] = field(default_factory=dict)
    views: Mapping[str, ViewEntry] = field(default_factory=dict)
    services: Mapping[str, ServiceEntry] = field(default_factory=dict)
    training_sets: Mapping[str, TrainingSetEntry] = field(default_factory=dict)

    def view(self, name: str) -> ViewEntry:
        """The feature view of that name. Raises UnknownNameError with the closest names."""
        return _find(self.views, name, "feature view")

    def service(self, name: str) -> ServiceEntry:
        """The feature service of that name. Raises UnknownNameError with the closest names."""
        return _find(self.services, name, "feature service")

    def dumps(self) -> str:
        """The catalog as JSON text, an entry a line."""
        fields = {"format": FORMAT, **vars(self)}
        return "{" + ",".join(f"\n{json.dumps(n)}: {_json(v)}" for n, v in fields.items()) + "\n}\n"


def load_catalog(path: Path) -> Catalog:
    """Read catalog.json.

    Raises:
        ForebayError: it is not there, not JSON, or of another format.
    """
    mend = "run `forebay compile`"
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        raise ForebayError(
            "nothing is compiled yet: no catalog.json", where=str(path), mend=mend
        ) from None
    except json.JSONDecodeError as error:
        raise ForebayError(f"not JSON: {error}", where=str(path), mend=mend) from None
    if raw.pop("format", None) != FORMAT:
        raise ForebayError("written by another version of forebay", where=str(path), mend=mend)
    raw["leaves"] = {k: _leaf(v) for k, v in raw["leaves"].items()}
    raw["views"] = {k: _view(v) for k, v in raw["views"].items()}
    raw["services"] = {k: _service(v) for k, v in raw["services"].items()}
    raw["training_sets"] = {k: TrainingSetEntry(**v) for k, v in raw["training_sets"].items()}
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
    raw["leaves"] = tuple(raw["leaves"])
    raw["taken_on_word"] = tuple(raw["taken_on_word"])
    return ViewEntry(**raw)


def _leaf(raw: dict[str, Any]) -> LeafEntry:
    if raw.get("origin") is not None:
        raw["origin"] = Origin(**raw["origin"])
    return LeafEntry(**raw)


def _service(raw: dict[str, Any]) -> ServiceEntry:
    raw["features"] = tuple((view, feature) for view, feature in raw["features"])
    return ServiceEntry(**raw)


def _find(known: Mapping[str, _Entry], name: str, kind: str) -> _Entry:
    if name not in known:
        raise UnknownNameError(
            f"no {kind} is named {name!r}", where="catalog.json", mend=did_you_mean(name, known)
        )
    return known[name]
