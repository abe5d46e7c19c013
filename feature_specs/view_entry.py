"""A compiled feature view, as catalog.json has it, and as a service reads it in a role of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeAlias

from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.instants import microseconds
from feature_specs.names import fold_name

#: A read-time expression as a JSON tree: ``["column", name]``, ``["clock"]``, ``["request", name]``,
#: ``["literal", value, type]`` or ``[operator, argument, ...]``.
Expression: TypeAlias = list[Any]

#: What the name of a view's log adds to that of its table of latest rows.
_LOG = "__history"


@dataclass(frozen=True)
class Column:
    """A column and its DuckDB type."""

    name: str
    type: str


@dataclass(frozen=True)
class Feature:
    """A feature: a stored column, or an expression over stored columns evaluated at reading.

    Attributes:
        alias_of: of another name for a feature, which readers of that name go on by, the feature's
            own; else empty.
        deprecated: of such a name, until when readers may go on by it, in ISO 8601; mostly empty.
    """

    name: str
    type: str
    description: str = ""
    expression: Expression | None = None
    alias_of: str = ""
    deprecated: str = ""

    @property
    def stored_as(self) -> str:
        """The feature table's column of a feature without an expression."""
        return fold_name(self.own_name)

    @property
    def own_name(self) -> str:
        """The feature's name; of an alias that of the feature that it stands for."""
        return self.alias_of or self.name

    @property
    def needs_request(self) -> bool:
        """Whether it has no value without one that its caller sends."""
        return bool(self.request_names)

    @property
    def request_names(self) -> tuple[str, ...]:
        """The values that its caller sends, as the expression names them."""
        return () if self.expression is None else tuple(dict.fromkeys(_requests(self.expression)))


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
        aliases: other names that they can be asked for by, too.
        event_time: the event time column of a history view, else None.
        ttl_us: how long a history row counts, in microseconds, inclusive.
        freshness_us: how old the table may be before it is stale, in microseconds.
        on_stale: ``serve`` stale values, read them as ``null``, or answer with an ``error``.
        table, history_table: Iceberg identifiers of the latest rows and of their log.
        leaves: names of the leaves it reads, as keys of Catalog.leaves.
        joined: of each static leaf, the columns of each join to it.
        semantic_hash: of what decides the rows of the table.
        definition_hash: of that and of what is applied when features are read, ttl included.
        drift: thresholds (``feature_specs.drift_options``), by feature; those of all under "".
        reach: of each leaf, how far before t a row may lie that counts at t, in microseconds; none
            of a leaf whose whole past may count.
        reads: of each leaf, the columns that decide values, in lower case; none where an earlier forebay
            compiled it.
        deprecated: dbt's ``deprecation_date`` of the model, in ISO 8601; mostly empty.
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
    assumptions: tuple[str, ...] = ()
    definition_hash: str = ""
    joined: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    deprecated: str = ""
    reach: Mapping[str, int] = field(default_factory=dict)
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)
    aliases: tuple[Feature, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        table: str,
        *,
        semantic_hash: str,
        entities: Sequence[Column],
        stored: Sequence[Column],
        features: Sequence[Feature],
        ttl: timedelta | None = None,
        freshness: timedelta | None = None,
        **more: Any,
    ) -> ViewEntry:
        """An entry whose log stands beside its table, and whose durations are in microseconds.

        Args:
            table: Iceberg identifier of the latest rows.
            more: attributes that are other than those of an as-of view that serves stale values.
        """
        given: dict[str, Any] = {
            "unique_id": f"model.{name}",
            "file": f"models/{name}.sql",
            "event_time": None,
            "on_stale": "serve",
            "history_table": log_of(table),
            "leaves": (),
            "lowering": "",
        }
        return cls(
            name=name,
            table=table,
            semantic_hash=semantic_hash,
            entities=tuple(entities),
            stored=tuple(stored),
            features=tuple(features),
            ttl_us=None if ttl is None else microseconds(ttl),
            freshness_us=None if freshness is None else microseconds(freshness),
            **(given | more),
        )

    @property
    def as_of_table(self) -> str:
        """The Iceberg identifier of its backfilled history."""
        return f"{self.table}__as_of"

    @property
    def tables(self) -> tuple[str, ...]:
        """All Iceberg identifiers under which its rows are, or may be."""
        return self.table, self.history_table, self.as_of_table

    @property
    def keys(self) -> tuple[str, ...]:
        """The feature table's key columns."""
        return tuple(fold_name(c.name) for c in self.entities)

    @property
    def time_column(self) -> str | None:
        """The feature table's column of event times."""
        return None if self.event_time is None else fold_name(self.event_time)

    @property
    def table_columns(self) -> list[str]:
        """The feature table's columns that readers know: keys, event time, stored columns."""
        timed = [] if self.time_column is None else [self.time_column]
        return [*self.keys, *timed, *(c.name for c in self.stored)]

    def spelling(self, column: str) -> str:
        """The author's spelling of a column of the feature table."""
        return next(
            (f.name for f in self.features if f.expression is None and f.stored_as == column),
            column,
        )

    @property
    def names(self) -> tuple[Feature, ...]:
        """All that can be asked for: the features, then their aliases."""
        return (*self.features, *self.aliases)

    def feature(self, name: str) -> Feature:
        """The feature of that name, in whichever case; of an alias what stands for it.

        Raises:
            UnknownNameError: the view has no such feature.
        """
        for feature in self.names:
            if feature.name == name:
                return feature
        for feature in self.names:
            if fold_name(feature.name) == fold_name(name):
                return feature
        raise UnknownNameError(
            f"feature view {self.name!r} has no feature {name!r}",
            where=self.name,
            hint=did_you_mean(name, [f.name for f in self.features]),
        )


@dataclass(frozen=True)
class Role:
    """A view as services read it a second time: under another name, by other key columns.

    Attributes:
        view: the view's own name.
        keys: of each entity that is called otherwise, its name in the role.
    """

    view: str
    keys: Mapping[str, str]

    def entry(self, name: str, view: ViewEntry) -> ViewEntry:
        """The view's entry under the role's name, its keys named as in the role."""
        named = {fold_name(own): there for own, there in self.keys.items()}
        entities = tuple(
            replace(c, name=named.get(fold_name(c.name), c.name)) for c in view.entities
        )
        folded = {own: fold_name(there) for own, there in named.items()}
        features = tuple(
            replace(f, expression=_renamed(f.expression, folded)) if f.expression else f
            for f in view.names
        )
        own, aliases = features[: len(view.features)], features[len(view.features) :]
        return replace(view, name=name, entities=entities, features=own, aliases=aliases)


def log_of(table: str) -> str:
    """The Iceberg identifier of the log beside a table of latest rows.

    >>> log_of("main.spending"), table_of_log("main.spending__history"), table_of_log("main.spending")
    ('main.spending__history', 'main.spending', None)
    """
    return table + _LOG


def table_of_log(name: str) -> str | None:
    """The table of latest rows that a log stands beside; None where the name is no log's."""
    return name.removesuffix(_LOG) if name.endswith(_LOG) else None


def _requests(expression: Expression) -> Iterator[str]:
    if expression[0] == "request":
        yield expression[1]
    elif expression[0] not in ("literal", "column"):
        for part in expression[1:]:
            if isinstance(part, list):
                yield from _requests(part)


def _renamed(expression: Expression, columns: Mapping[str, str]) -> Expression:
    """An expression that reads columns by other names."""
    if expression[0] == "column":
        return ["column", columns.get(expression[1], expression[1])]
    if expression[0] in ("literal", "request"):
        return expression
    return [_renamed(part, columns) if isinstance(part, list) else part for part in expression]
