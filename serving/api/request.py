"""A request of Feast's feature server, read from JSON and checked against the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.names import fold_name
from serving.api.errors import InvalidRequestError, MalformedRequestError

_FIELDS = (
    "features",
    "feature_service",
    "entities",
    "full_feature_names",
    "request_context",
    "request",
)

Reference = tuple[str, str]


@dataclass(frozen=True)
class LookupRequest:
    """What is asked.

    Attributes:
        features: (view, feature) pairs in the order asked, spelled as their authors have them.
        names: the name of each in the answer.
        entities: the entity columns as sent, all of one length.
        given: all columns by their names in lower case, those of the request context included.
        count: how many entity rows there are.
    """

    features: tuple[Reference, ...]
    names: tuple[str, ...]
    entities: dict[str, list[Any]]
    given: dict[str, list[Any]]
    count: int


def read_request(catalog: Catalog, body: bytes) -> LookupRequest:
    """The request in a body.

    Raises:
        MalformedRequestError: the body is not a JSON object.
        UnknownNameError: a view, feature or service does not exist.
        InvalidRequestError: a part is missing or of the wrong form.
    """
    raw = _parse(body)
    for name in raw:
        if name not in _FIELDS:
            raise InvalidRequestError(
                f"the request has no field {name!r}", where=name, mend=did_you_mean(name, _FIELDS)
            )
    features, full = _features(catalog, raw)
    names = tuple(f"{v}__{f}" if full else f for v, f in features)
    columns = _columns(raw.get("entities"))
    count = _same_length(columns)
    _refuse_unknown(catalog, columns)
    given = {**_by_folded_name(columns), **_by_folded_name(_context(raw, count))}
    entity_names = {key for view in catalog.views.values() for key in view.keys}
    # A request value may stand among the entities, as with Feast; it is not echoed.
    echoed = {name: values for name, values in columns.items() if fold_name(name) in entity_names}
    return LookupRequest(features, names, echoed, given, count)


def _parse(body: bytes) -> dict[str, Any]:
    mend = 'send {"features": ["view:feature"], "entities": {"key": [1, 2]}}'
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequestError(f"not JSON: {error}", where="body", mend=mend) from None
    if not isinstance(raw, dict):
        raise MalformedRequestError("not a JSON object", where="body", mend=mend)
    return raw


def _features(catalog: Catalog, raw: Mapping[str, Any]) -> tuple[tuple[Reference, ...], bool]:
    """The features asked, and whether their names carry the view's."""
    service, references = raw.get("feature_service"), raw.get("features")
    full = raw.get("full_feature_names") or False
    if not isinstance(full, bool):
        raise InvalidRequestError(
            "full_feature_names is no boolean",
            where="full_feature_names",
            mend="send true or false",
        )
    if (service is None) == (references is None):
        raise InvalidRequestError(
            "a request names either features or a feature_service",
            where="features",
            mend='send "features": ["view:feature", ...] or "feature_service": "name"',
        )
    if service is not None:
        if not isinstance(service, str):
            raise InvalidRequestError(
                "feature_service is no string", where="feature_service", mend="send its name"
            )
        listed = catalog.service(service).features
        return tuple((v, catalog.view(v).feature(f).name) for v, f in listed), True
    if not isinstance(references, list) or not references:
        raise InvalidRequestError(
            "features is no list of names", where="features", mend='send ["view:feature", ...]'
        )
    features = tuple(resolve(catalog, reference) for reference in references)
    return features, full or len({view for view, _ in features}) > 1


def resolve(catalog: Catalog, reference: Any) -> Reference:
    """The (view, feature) of ``view:feature`` or ``view__feature``.

    Raises:
        UnknownNameError: there is no such view or feature; names the closest.
        InvalidRequestError: it is not text.
    """
    if not isinstance(reference, str):
        raise InvalidRequestError(
            f"{reference!r} is no feature", where="features", mend='send "view:feature"'
        )
    if ":" in reference:
        view, _, feature = reference.partition(":")
        return view, catalog.view(view).feature(feature).name
    # Names may hold two underscores themselves, so every place is tried.
    at = reference.find("__")
    while at > 0:
        known = catalog.views.get(reference[:at])
        if known is not None:
            return known.name, known.feature(reference[at + 2 :]).name
        at = reference.find("__", at + 1)
    everything = [f"{v.name}:{f.name}" for v in catalog.views.values() for f in v.features]
    plain = [name for name in everything if name.partition(":")[2] == reference]
    mend = did_you_mean(plain[0] if plain else reference, everything)
    raise UnknownNameError(f"no feature is named {reference!r}", where="features", mend=mend)


def _columns(entities: Any) -> dict[str, list[Any]]:
    mend = 'send {"key": [value, ...], ...}'
    if not isinstance(entities, dict) or not entities:
        raise InvalidRequestError("entities is no object", where="entities", mend=mend)
    for name, values in entities.items():
        if not isinstance(values, list):
            raise InvalidRequestError(
                f"entity {name!r} is no list", where=f"entities.{name}", mend=mend
            )
    return entities


def _by_folded_name(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The columns as they are looked up; names that differ in case only are one."""
    made: dict[str, str] = {}
    for name in columns:
        other = made.setdefault(fold_name(name), name)
        if other != name:
            raise InvalidRequestError(
                f"{other!r} and {name!r} are one name, sent twice",
                where=name,
                mend=f"send {other!r} only",
            )
    return {folded: columns[name] for folded, name in made.items()}


def _same_length(columns: Mapping[str, list[Any]]) -> int:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise InvalidRequestError(
            f"entity lists have different lengths ({shown})",
            where="entities",
            mend="send one value of each per row",
        )
    return next(iter(lengths.values()))


def _refuse_unknown(catalog: Catalog, columns: Mapping[str, list[Any]]) -> None:
    views = catalog.views.values()
    known = {fold_name(c.name): c.name for view in views for c in _asked_of(view)}
    for name in columns:
        if fold_name(name) not in known:
            raise UnknownNameError(
                f"no feature view has an entity {name!r}",
                where=f"entities.{name}",
                mend=did_you_mean(name, known.values()),
            )


def _asked_of(view: ViewEntry) -> tuple[Any, ...]:
    return (*view.entities, *view.requests)


def _context(raw: Mapping[str, Any], count: int) -> dict[str, list[Any]]:
    """Request values: a list with one per row, or one value for all rows."""
    made: dict[str, list[Any]] = {}
    for field in ("request_context", "request"):
        context = raw.get(field) or {}
        if not isinstance(context, dict):
            raise InvalidRequestError(
                f"{field} is no object", where=field, mend='send {"name": [value, ...]}'
            )
        for name, values in context.items():
            column = values if isinstance(values, list) else [values] * count
            if len(column) != count:
                raise InvalidRequestError(
                    f"request value {name!r} has {len(column)} values for {count} rows",
                    where=f"{field}.{name}",
                    mend="send one per row, or a single value for all",
                )
            made[name] = column
    return made
