"""Feature views made ready to be read: everything that does not depend on the request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from feature_specs.catalog import Catalog, Column, ViewEntry
from feature_specs.errors import ForebayError
from feature_specs.sql_types import parse_type
from serving.keys import Coercer, coercer
from serving.lookup.errors import NotReadyError, StaleError, UnsyncedError
from serving.lookup.values import KeyColumn, key_column, request_coercer
from serving.read_time import ReadTime, compile_feature
from serving.rows import (
    NULL,
    SEPARATOR,
    Decoder,
    Encoder,
    encoder,
    from_json,
    header_text,
    nullable,
)
from serving.state import load_state
from serving.stores import StoredView


@dataclass(frozen=True)
class Computed:
    """A read-time feature: its expression and the encoder of its values."""

    expression: ReadTime
    encode: Encoder


class Loaded(NamedTuple):
    """The instant of a view's rows: in microseconds since the epoch, and as a row's header.

    Attributes:
        leaves: the snapshot of each leaf, of rows that a stream has computed.
    """

    at: int
    header: bytes
    leaves: Mapping[str, int | None] | None = None


class ReadyView:
    """A view with its key columns, column positions and compiled read-time features.

    Args:
        rows_of: of a role the view whose rows it reads.

    Attributes:
        width: fields of a stored row: its header and a fragment a stored column.
        positions: of each stored feature among those fields.
        nulls: what follows the header in the row of an entity without features.
        always_valid: no row expires, or is withheld once it is too old.
    """

    def __init__(self, entry: ViewEntry, rows_of: ViewEntry | None = None) -> None:
        self.entry = entry
        self.name = entry.name
        self.stored_view = StoredView.of(rows_of or entry)
        self.key_columns: dict[str, KeyColumn] = {c.name: key_column(c) for c in entry.entities}
        self.coercers: dict[str, Coercer] = dict(
            zip(entry.keys, map(coercer, entry.entities), strict=True)
        )
        self.time_column = entry.time_column
        self.width = 1 + len(entry.stored)
        self.nulls = (SEPARATOR + NULL) * len(entry.stored)
        never_withheld = entry.freshness_us is None or entry.on_stale == "serve"
        self.always_valid = entry.ttl_us is None and never_withheld
        stored = {column.name: 1 + i for i, column in enumerate(entry.stored)}
        self._decoders: dict[str, tuple[int, Decoder]] = {
            column.name: (stored[column.name], from_json(parse_type(column.type)))
            for column in entry.stored
        }
        self.requests: dict[str, Column] = {column.name: column for column in entry.requests}
        for column in entry.requests:
            request_coercer(column, "request")  # raises where its type cannot be sent
        self.positions: dict[str, int] = {}
        self.computed: dict[str, Computed] = {}
        for feature in entry.names:
            if feature.expression is not None:
                made = compile_feature(entry, feature)
                self.computed[feature.name] = Computed(made, nullable(encoder(made.type)))
            elif feature.stored_as in stored:
                self.positions[feature.name] = stored[feature.stored_as]
            else:
                raise ForebayError(
                    f"feature {feature.name!r} is neither stored nor computed",
                    where=entry.name,
                    hint="run `forebay compile`",
                )
        self._known: tuple[bytes | None, Loaded | None] = (None, None)

    def decode(self, fields: Sequence[bytes], columns: frozenset[str]) -> dict[str, Any]:
        """The values of those stored columns that a read-time expression reads.

        Args:
            fields: of a stored row, its header first.
        """
        return {
            name: decoder(json.loads(fields[at]))
            for name, (at, decoder) in self._decoders.items()
            if name in columns
        }

    def state(self, raw: bytes | None) -> Loaded:
        """The view's state from the store's bytes.

        Raises:
            UnsyncedError: the store holds no rows of this view as the catalog has it.
        """
        known_raw, known = self._known
        if known is None or known_raw != raw:
            known = self._load(raw)
            self._known = (raw, known)
        return known

    def withheld(self, loaded: Loaded, now_us: int) -> bool:
        """Whether the view's rows are too old, and it says that they read as null then.

        Raises:
            StaleError: they are too old, and it says that nothing is answered then.
        """
        fresh_us, age_us = self.entry.freshness_us, now_us - loaded.at
        if fresh_us is None or self.entry.on_stale == "serve" or age_us <= fresh_us:
            return False
        if self.entry.on_stale == "error":
            raise StaleError(
                f"feature view {self.name!r} is {age_us // 1_000_000} seconds old, and "
                f"{fresh_us // 1_000_000} are allowed",
                where=self.name,
                hint=f"run `forebay build` and `forebay sync {self.name}`",
            )
        return True

    def _load(self, raw: bytes | None) -> Loaded:
        state = load_state(raw)
        # Of another query, the columns need not be the catalog's.
        if state is None or state.semantic_hash != self.entry.semantic_hash:
            raise UnsyncedError(self.name)
        return Loaded(state.at, header_text(state.at).encode(), state.leaves)


def ready_views(
    catalog: Catalog, known: Mapping[str, ReadyView] | None = None
) -> tuple[dict[str, ReadyView], dict[str, ForebayError]]:
    """The views of the catalog, and why those that cannot be served cannot: a key's type, or a
    read-time expression that this version does not know.

    Args:
        known: views that were made ready before, taken again where they are the same.
    """
    ready: dict[str, ReadyView] = {}
    failed: dict[str, ForebayError] = {}
    for name, entry in catalog.readable.items():
        same = None if known is None else known.get(name)
        stored = catalog.views[catalog.view_behind(name)]
        if same is not None and (same.entry, same.stored_view) == (entry, StoredView.of(stored)):
            ready[name] = same
            continue
        try:
            ready[name] = ReadyView(entry, stored)
        except ForebayError as error:
            failed[name] = error
    return ready, failed


def ready_view(
    views: Mapping[str, ReadyView], failed: Mapping[str, ForebayError], name: str
) -> ReadyView:
    """The view of that name. Raises NotReadyError where it is one that failed."""
    error = failed.get(name)
    if error is not None:
        raise NotReadyError(
            f"feature view {name!r} cannot be served: {error.what}", where=name, hint=error.hint
        )
    return views[name]
