"""Example values of a view for readers with access: keys from the store, values by a lookup."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, cast

from starlette.types import Scope

from feature_specs.catalog import ViewEntry
from feature_specs.errors import ForebayError
from feature_specs.sql_types import parse_type
from serving.access.gate import CALLER
from serving.api.vectors.endpoint import PATH
from serving.catalogue.live import NO_EXAMPLES, Examples
from serving.keys import decode_key
from serving.stores import OnlineStore, StoredView

#: Entities shown.
COUNT = 3
_LONGEST = 80
#: Longer integers are sent as text.
_DIGITS = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Ask = Callable[[Scope, bytes], Awaitable[bytes]]


async def read_examples(store: OnlineStore, view: ViewEntry, scope: Scope, ask: Ask) -> Examples:
    """The first entities that the store gives, with the features that need nothing of a caller.

    They are answered as a lookup by the reader's own key would be, so that whatever refuses that
    refuses this; what it costs counts as that does.

    Args:
        scope: of the page's request.
        ask: answers a lookup.
    """
    features = tuple(f.name for f in view.features if not f.needs_request)
    if not features:
        return NO_EXAMPLES
    try:
        keys = await asyncio.to_thread(_first_keys, store, view)
        if not keys:
            return Examples(problem="The online store holds no entity of it.")
        columns = list(zip(*keys, strict=True))
        entities = {
            c.name: [_sent(c.type, text) for text in texts]
            for c, texts in zip(view.entities, columns, strict=True)
        }
        body = {"features": [f"{view.name}:{f}" for f in features], "entities": entities}
        inner: dict[str, Any] = {"path": PATH, "headers": (), CALLER: scope.get(CALLER)}
        answer = json.loads(await ask(inner, json.dumps(body).encode()), parse_float=str)
    except ForebayError as error:
        return Examples(problem=f"No values to show: {error.what}.")
    rows = cast("list[list[Any]]", answer["vectors"])
    return Examples(features, tuple(keys), tuple(tuple(map(_shown, row)) for row in rows))


def _first_keys(store: OnlineStore, view: ViewEntry) -> list[tuple[str, ...]]:
    kinds = [column.type for column in view.entities]
    with closing(cast("Any", store.items(StoredView.of(view)))) as items:
        return [
            tuple(_key_text(kind, part) for kind, part in zip(kinds, decode_key(key), strict=True))
            for key, _ in islice(items, COUNT)
        ]


def _key_text(declared: str, text: str) -> str:
    """A key value as people write it, from its text in the store: times are microseconds there."""
    kind = parse_type(declared)
    if kind.name in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        at = _EPOCH + timedelta(microseconds=int(text))
        return (at if kind.name != "TIMESTAMP" else at.replace(tzinfo=None)).isoformat()
    return text


def _sent(declared: str, text: str) -> object:
    """A key value as a lookup takes it."""
    kind = parse_type(declared)
    if kind.name == "BOOLEAN":
        return text == "true"
    return int(text) if kind.is_integer and len(text) < _DIGITS else text


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
