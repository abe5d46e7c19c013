"""Feature views made ready to be read: everything that does not depend on the request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from feature_specs.catalog import Catalog, Column, ViewEntry
from feature_specs.errors import ForebayError
from serving.api.errors import NotReadyError
from serving.api.values import request_coercer
from serving.keys import Coercer, coercer, encode_key, key_texts
from serving.read_time import ReadTime, compile_feature
from serving.rows import Encoder, decode_value, encoder, nullable
from serving.sql_types import SqlType, parse_type
from serving.state import ViewState, load_state


@dataclass(frozen=True)
class Computed:
    """A read-time feature: its expression and the encoder of its values."""

    expression: ReadTime
    encode: Encoder


class ReadyView:
    """A view with its key coercers, column positions and compiled read-time features."""

    def __init__(self, entry: ViewEntry) -> None:
        self.entry = entry
        self.name = entry.name
        self.coercers: list[Coercer] = [coercer(column) for column in entry.entities]
        self.key_columns, self.time_column = entry.keys, entry.time_column
        self._texts: list[Callable[[Any], str]] = key_texts(entry.entities)
        stored = {column.name: i for i, column in enumerate(entry.stored)}
        self._types: dict[str, tuple[int, SqlType]] = {
            column.name: (stored[column.name], parse_type(column.type)) for column in entry.stored
        }
        self.requests: dict[str, tuple[Column, Coercer]] = {
            column.name: (column, request_coercer(column)) for column in entry.requests
        }
        self.positions: dict[str, int] = {}
        self.computed: dict[str, Computed] = {}
        for feature in entry.features:
            if feature.expression is not None:
                made = compile_feature(entry, feature)
                self.computed[feature.name] = Computed(made, nullable(encoder(made.type)))
            elif feature.stored_as in stored:
                self.positions[feature.name] = stored[feature.stored_as]
            else:
                raise ForebayError(
                    f"feature {feature.name!r} is neither stored nor computed",
                    where=entry.name,
                    mend="run `forebay compile`",
                )
        self._state: tuple[bytes | None, ViewState | None] = (None, None)

    def keys(self, columns: Sequence[Sequence[Any]]) -> list[bytes | None]:
        """The key of each row of coerced key columns; None where a part is null."""
        texts, name = self._texts, self.name
        return [
            None
            if None in row
            else encode_key(name, [text(value) for text, value in zip(texts, row, strict=True)])
            for row in zip(*columns, strict=True)
        ]

    def decode(self, fragments: Sequence[bytes], columns: frozenset[str]) -> dict[str, Any]:
        """The values of those stored columns that a read-time expression reads."""
        return {
            name: decode_value(declared, fragments[at])
            for name, (at, declared) in self._types.items()
            if name in columns
        }

    def state(self, raw: bytes | None) -> ViewState:
        """The view's state from the store's bytes.

        Raises:
            NotReadyError: the store holds no rows of this view, or those of another query, whose
                columns need not be the catalog's.
        """
        known_raw, known = self._state
        if known is None or known_raw != raw:
            known = load_state(raw)
            self._state = (raw, known)
        if known is None or known.semantic_hash != self.entry.semantic_hash:
            what = "is not in the online store yet" if known is None else "has changed since"
            raise NotReadyError(
                f"feature view {self.name!r} {what}",
                where=self.name,
                mend="run `forebay build` and `forebay sync`, and serve the same catalog.json",
            )
        return known


def ready_views(catalog: Catalog) -> tuple[dict[str, ReadyView], dict[str, ForebayError]]:
    """The views of the catalog, and why those that cannot be served cannot: a key's type, or a
    read-time expression that this version does not know."""
    ready: dict[str, ReadyView] = {}
    failed: dict[str, ForebayError] = {}
    for name, entry in catalog.views.items():
        try:
            ready[name] = ReadyView(entry)
        except ForebayError as error:
            failed[name] = error
    return ready, failed
