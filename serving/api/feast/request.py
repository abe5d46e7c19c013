"""A request of Feast's feature server: its shape, which only names decide, and its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from feature_specs.errors import did_you_mean
from feature_specs.names import fold_name
from serving.api.errors import MalformedRequestError
from serving.api.feast.errors import VERSIONS_FIELD, NameCollisionError
from serving.lookup.budget import BUDGET
from serving.lookup.errors import InvalidRequestError
from serving.lookup.limits import check_request
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

#: Where request values are sent.
CONTEXTS = ("request_context", "request")
_FULL, _DECIMAL = "full_feature_names", "decimal"
#: How decimals are written. Feast's client reads a number as it reads a Float64, and cannot ask.
_NUMBER, _TEXT = "number", "text"
#: Fields whose values, and not their names only, decide the shape.
_OPTIONS = (_FULL, VERSIONS_FIELD, _DECIMAL)
_FIELDS = ("features", "feature_service", ENTITIES, *CONTEXTS, *_OPTIONS, BUDGET)


@dataclass(frozen=True)
class Shape:
    """What is asked and sent, by name.

    Attributes:
        features: (view, feature) pairs in the order asked, spelled as their authors have them.
        names: the name of each in the answer.
        echoed: the entities, which the answer repeats.
        columns: all that is sent.
        numbers: decimals are asked for as JSON numbers.
        versions: the views' versions are asked for.
    """

    features: tuple[Reference, ...]
    names: tuple[str, ...]
    echoed: tuple[str, ...]
    columns: SentColumns
    numbers: bool
    versions: bool


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises MalformedRequestError unless it is one."""
    hint = 'send {"features": ["view:feature"], "entities": {"key": [1, 2]}}'
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequestError(f"not JSON: {error}", where="body", hint=hint) from None
    if not isinstance(raw, dict):
        raise MalformedRequestError("not a JSON object", where="body", hint=hint)
    return raw


def shape_key(raw: Mapping[str, Any], rights: Hashable = None) -> Hashable | None:
    """What two requests of one shape have alike; None of a request that is not well formed.

    Args:
        rights: of whoever asks, since a plan is made for what he may read.
    """
    service, features = raw.get("feature_service"), raw.get("features")
    entities, options = raw.get(ENTITIES), tuple(raw.get(name) for name in _OPTIONS)
    contexts = [raw.get(field) for field in CONTEXTS]
    if not (
        (service is None or type(service) is str)
        and (features is None or type(features) is list)
        and type(entities) is dict
        and all(context is None or type(context) is dict for context in contexts)
    ):
        return None
    names = [() if context is None else tuple(context) for context in contexts]
    asked = service if features is None else tuple(features)
    # Equal options of other types, as 1 and true, are not the same request.
    kinds = tuple(map(type, options))
    key = (rights, tuple(raw), service, asked, options, kinds, tuple(entities), *names)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def read_shape(names: Names, raw: Mapping[str, Any]) -> Shape:
    """The shape of a request.

    Raises:
        UnknownNameError: a view, feature, service or entity does not exist.
        InvalidRequestError: a part is missing or of the wrong form.
    """
    check_request(raw, raw.get("features"), (ENTITIES, *CONTEXTS), names.limits)
    for name in raw:
        if name not in _FIELDS:
            raise InvalidRequestError(
                f"the request has no field {name!r}", where=name, hint=did_you_mean(name, _FIELDS)
            )
    full, versions = _flag(raw, _FULL), _flag(raw, VERSIONS_FIELD)
    features = _features(names, raw)
    entities = entity_columns(raw.get(ENTITIES))
    same_length(entities)
    for name in entities:
        names.check_column(name)
    # A request value may stand among the entities; it is not echoed.
    echoed = tuple(name for name in entities if fold_name(name) in names.entities)
    beside = [(field, name) for field in CONTEXTS for name in request_columns(raw, field)]
    for field, name in beside:
        names.check_request_value(name, field)
    columns = sent_columns([*((ENTITIES, name) for name in entities), *beside])
    shown = tuple(f"{v}__{f}" if full else f for v, f in features)
    twice = _twice((*echoed, *shown))
    if twice:
        full_names = (f"{v}__{f}" for v, f in features)
        raise NameCollisionError(twice, full_helps=not _twice((*echoed, *full_names)))
    return Shape(features, shown, echoed, columns, _numbers(raw), versions)


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _flag(raw: Mapping[str, Any], name: str) -> bool:
    value = raw.get(name) or False
    if not isinstance(value, bool):
        raise InvalidRequestError(
            f"{name!r} is not a boolean", where=name, hint="send true or false"
        )
    return value


def _numbers(raw: Mapping[str, Any]) -> bool:
    asked = raw.get(_DECIMAL, _NUMBER)
    if asked not in (_NUMBER, _TEXT):
        raise InvalidRequestError(
            f"{_DECIMAL!r} is neither {_NUMBER!r} nor {_TEXT!r}",
            where=_DECIMAL,
            hint=f"send {_NUMBER!r}, or {_TEXT!r} for readers that would make a double of a number",
        )
    return bool(asked == _NUMBER)


def _features(names: Names, raw: Mapping[str, Any]) -> tuple[Reference, ...]:
    service, references = raw.get("feature_service"), raw.get("features")
    if (service is None) == (references is None):
        raise InvalidRequestError(
            "a request names either features or a feature_service",
            where="features",
            hint='send "features": ["view:feature", ...] or "feature_service": "name"',
        )
    if service is not None:
        return names.service(service)
    if isinstance(references, list):
        references = [_of_version(reference) for reference in references]
    return names.features(references)


_VERSIONED = re.compile(r"([^@:]+)@(?:latest|v(\d+))?:(.+)", re.IGNORECASE | re.DOTALL)


def _of_version(reference: Any) -> Any:
    """Feast's ``view@v2:feature``, as the view of that dbt version is named here: ``view_v2``."""
    found = _VERSIONED.fullmatch(reference) if isinstance(reference, str) else None
    if found is None:
        return reference
    view, version, feature = found.groups()
    return f"{view}:{feature}" if version is None else f"{view}_v{version}:{feature}"
