"""A request for vectors: read from JSON or MessagePack, its shape and its options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import orjson

from feature_specs.errors import did_you_mean
from serving.api.errors import MalformedRequestError, TooLargeError
from serving.lookup.budget import BUDGET
from serving.lookup.errors import InvalidRequestError
from serving.lookup.limits import Limits, check_request
from serving.lookup.names import Names
from serving.lookup.plan import Reference
from serving.lookup.sent import (
    ENTITIES,
    SentColumns,
    entity_columns,
    request_columns,
    same_length,
    sent_columns,
)
from serving.shown import shown

#: Where request values are sent.
CONTEXT = "request"

_FIELDS = (ENTITIES, CONTEXT, "ages", "decimal", BUDGET)
_DECIMALS = (None, "text", "number")
_HINT = 'send {"entities": {"key": [1, 2]}}'


@dataclass(frozen=True)
class Shape:
    """What is asked and sent, by name.

    Attributes:
        features: (view, feature) pairs in the order asked, spelled as their authors have them.
        decimal_numbers: decimals are answered as numbers, not as text.
    """

    features: tuple[Reference, ...]
    columns: SentColumns
    decimal_numbers: bool


def parse(body: bytes, packed: bool) -> dict[str, Any]:
    """The object of a body.

    Args:
        packed: it is MessagePack, not JSON.

    Raises:
        MalformedRequestError: it cannot be read, or is not an object with names for keys.
    """
    kind = "MessagePack" if packed else "JSON"
    try:
        raw = msgpack.unpackb(body) if packed else orjson.loads(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise MalformedRequestError(f"not {kind}: {error}", where="body", hint=_HINT) from None
    if not isinstance(raw, dict):
        raise MalformedRequestError(f"not a {kind} object", where="body", hint=_HINT)
    if packed:
        objects = [raw, *(part for part in raw.values() if isinstance(part, dict))]
        if not all(isinstance(name, str) for part in objects for name in part):
            raise MalformedRequestError("a name is not text", where="body", hint=_HINT)
    return raw


def shape_key(
    raw: Mapping[str, Any], service: str | None, rights: Hashable = None
) -> Hashable | None:
    """What two requests of one shape have alike; None of a request that is not well formed.

    Args:
        rights: of whoever asks, since a plan is made for what he may read.
    """
    features, entities, context = raw.get("features"), raw.get(ENTITIES), raw.get(CONTEXT)
    decimal = raw.get("decimal")
    if not (
        (features is None or type(features) is list)
        and type(entities) is dict
        and (context is None or type(context) is dict)
        and (decimal is None or type(decimal) is str)
    ):
        return None
    asked = features if features is None else tuple(features)
    key = (rights, tuple(raw), service, asked, decimal, tuple(entities), tuple(context or ()))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def read_shape(names: Names, raw: Mapping[str, Any], service: str | None) -> Shape:
    """The shape of a request.

    Args:
        service: the service that the path names, if it names one.

    Raises:
        UnknownNameError: a view, feature, service or entity does not exist.
        InvalidRequestError: a part is missing or of the wrong form.
    """
    check_request(raw, raw.get("features"), (ENTITIES, CONTEXT), names.limits)
    fields = ("features", *_FIELDS) if service is None else _FIELDS
    for name in raw:
        if name not in fields:
            raise InvalidRequestError(
                f"the request has no field {name!r}", where=name, hint=did_you_mean(name, fields)
            )
    if service is not None:
        features = names.service(service, "service")
    else:
        features = names.features(raw.get("features"))
    if raw.get("decimal") not in _DECIMALS:
        raise InvalidRequestError(
            f"'decimal' is {shown(raw['decimal'])}",
            where="decimal",
            hint='send "text" or "number"',
        )
    entities = entity_columns(raw.get(ENTITIES))
    for name in entities:
        names.check_column(name)
    beside = request_columns(raw, CONTEXT)
    for name in beside:
        names.check_request_value(name, CONTEXT)
    sent = [*((ENTITIES, name) for name in entities), *((CONTEXT, name) for name in beside)]
    return Shape(features, sent_columns(sent), raw.get("decimal") == "number")


def wants_ages(raw: Mapping[str, Any]) -> bool:
    """Whether the views' ages are asked. Raises InvalidRequestError unless it is a boolean."""
    ages = raw.get("ages")
    if ages is None or type(ages) is bool:
        return bool(ages)
    raise InvalidRequestError("'ages' is not a boolean", where="ages", hint="send true or false")


def check_count(raw: Mapping[str, Any], limits: Limits) -> int:
    """How many entities are asked; raises unless they are one to as many as one request may."""
    count = same_length(raw[ENTITIES])
    if count == 0:
        raise InvalidRequestError("no entity is asked", where=ENTITIES, hint=_HINT)
    if count > limits.vector_entities:
        raise TooLargeError(
            f"{count} entities are asked, more than {limits.vector_entities}",
            where=ENTITIES,
            hint="split them over several requests",
        )
    return count


def answer_names(features: tuple[Reference, ...]) -> list[str]:
    """The names of the features in the answer. Raises InvalidRequestError where two are alike."""
    names = [f"{view}__{feature}" for view, feature in features]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise InvalidRequestError(
            f"two features would be named {twice!r}", where="features", hint="ask for each once"
        )
    return names
