"""The online variant: what is stored for each entity, and how features are read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from feature_specs.catalog import Column
from feature_specs.catalog import Expression as ReadTimeTree
from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.check_session import guarded
from feature_specs.compile.sql.lay_out import lay_out
from feature_specs.compile.sql.time_axis import instant_parameter
from feature_specs.compile.variants.read_features import feature_columns
from feature_specs.instants import microseconds


@dataclass(frozen=True)
class Online:
    """What an online store holds of a view, and how a lookup turns it into features.

    Attributes:
        entities: the key columns, in the order in which keys are written.
        event_time: of a history view, the column that ttl counts from.
        stored: the columns kept besides those.
        ttl_us: how long a stored row counts, in microseconds, inclusive; None for ever.
        expressions: feature to its read-time expression as a JSON tree (feature_specs.catalog); a
            feature without one is the stored column of its name.
        requests: values that the caller sends, each with its type.
        store: SQL of the rows to load, a row per entity; parameter ``$as_of``.
        read: SQL of the features over a relation ``stored`` of such rows; parameters ``$as_of``,
            the instant of the lookup, and one named like each request.
    """

    entities: tuple[str, ...]
    event_time: str | None
    stored: tuple[str, ...]
    ttl_us: int | None
    expressions: Mapping[str, ReadTimeTree | None]
    requests: tuple[Column, ...]
    store: str
    read: str


def read_online(draft: Draft, store: str) -> Online:
    """The online variant of a view whose stored rows are ``store``."""
    view = draft.view
    now = instant_parameter("as_of")
    columns = feature_columns(draft, now, sent=True)
    return Online(
        entities=tuple(view.entities),
        event_time=view.event_time,
        stored=draft.stored_names,
        ttl_us=None if view.ttl is None else microseconds(view.ttl),
        expressions={f.name: f.tree for f in draft.features},
        requests=draft.requests,
        store=lay_out(guarded(f"select * from ({store}) as rows")),
        read=lay_out(guarded(f"select {columns} from stored")),
    )
