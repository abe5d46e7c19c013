"""GET /openapi.json: what the endpoints take and give, as OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.lookup.budget import BUDGET, LONGEST_MS
from serving.lookup.limits import Limits

Schema = dict[str, Any]

_JSON = "application/json"
_PLAIN: Schema = {"type": ["string", "number", "boolean", "null"]}
_STATUS: Schema = {"enum": ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]}
_ABSENT: Schema = {"enum": ["NOT_FOUND", "OUTSIDE_MAX_AGE", "UNAVAILABLE"]}
_TEXT: Schema = {"type": "string"}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_ERROR = _object(
    {"error": _object({"what": _TEXT, "where": _TEXT, "hint": _TEXT}), "detail": _TEXT},
    {"module": _TEXT, "class": _TEXT, "message": _TEXT},
)
_FEAST_ANSWER = _object(
    {
        "metadata": {
            "type": "object",
            "properties": {"feature_names": _list(_TEXT)},
            "required": ["feature_names"],
        },
        "results": _list(
            _object(
                {
                    "values": {"type": "array"},
                    "statuses": _list(_STATUS),
                    "event_timestamps": _list({"type": "string", "format": "date-time"}),
                }
            )
        ),
    }
)
_VECTORS_ANSWER = _object(
    {
        "features": _list(_TEXT),
        "types": _list(_TEXT),
        "vectors": _list({"type": "array"}),
        "absent": _list(_object({"row": {"type": "integer"}, "view": _TEXT, "status": _ABSENT})),
    },
    {"ages": {"type": "object", "additionalProperties": {"type": "number"}}},
)
_HEALTH = _object(
    {"status": {"enum": ["ok", "degraded"]}},
    {
        "not_ready": _list(_TEXT),
        "waiting": _list(_TEXT),
        "problem": {"type": ["string", "null"]},
    },
)
_FEATURES = _object(
    {
        "project": _TEXT,
        "views": _list({"type": "object", "required": ["name", "entities", "features", "online"]}),
        "services": _list({"type": "object", "required": ["name", "features"]}),
    }
)

_FOUND = _object(
    {
        "project": _TEXT,
        "query": _TEXT,
        "total": {"type": "integer"},
        "offset": {"type": "integer"},
        "features": _list(
            {"type": "object", "required": ["reference", "type", "entities", "page", "readable"]}
        ),
        "facets": _list({"type": "object", "required": ["name", "label", "values"]}),
        "others": _list({"type": "object", "required": ["kind", "name", "page"]}),
    }
)


def _requests(limits: Limits) -> dict[str, Schema]:
    """What requests may be, by the name of their schema."""
    name: Schema = {"type": "string", "maxLength": limits.name_length}
    references: Schema = {
        "type": "array",
        "items": {**name, "description": "view:feature, or view__feature"},
        "minItems": 1,
        "maxItems": limits.names,
    }
    values: Schema = {
        "type": "object",
        "description": "Values for request() by name: one, or a list with one an entity.",
        "maxProperties": limits.names,
    }

    def entities(most: int) -> Schema:
        return {
            "type": "object",
            "description": "A list of values for each key column, all of one length.",
            "additionalProperties": {"type": "array", "items": _PLAIN, "maxItems": most},
            "minProperties": 1,
            "maxProperties": limits.names,
        }

    decimal = {"enum": ["number", "text"]}
    budget = {"type": "number", "minimum": 1, "maximum": LONGEST_MS}
    options = {
        "request": values,
        "ages": {"type": "boolean"},
        "decimal": decimal,
        BUDGET: budget,
    }
    few = entities(limits.vector_entities)
    return {
        "FeastRequest": _object(
            {"entities": entities(limits.entities)},
            {
                "features": references,
                "feature_service": name,
                "full_feature_names": {"type": "boolean"},
                "request_context": values,
                "request": values,
                "decimal": decimal,
                BUDGET: budget,
                "include_feature_view_version_metadata": {"type": "boolean"},
            },
        ),
        "VectorsRequest": _object({"features": references, "entities": few}, options),
        "VectorsOfServiceRequest": _object({"entities": few}, options),
    }


_MISTAKES = {
    "400": "The body cannot be read.",
    "401": "No key was sent where the server wants one, or none that it knows.",
    "403": "The key's team may not read a view.",
    "404": "A view, feature, service or column does not exist.",
    "406": "No format of the answer is accepted.",
    "413": "The request asks for too much.",
    "422": "A part of the request is missing or of the wrong form.",
    "429": "The key's team asks for too much at the moment.",
    "503": "A view cannot be served, or the server or its store is overloaded or away.",
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _response(text: str, content: Mapping[str, Schema]) -> Schema:
    return {"description": text, "content": {kind: {"schema": s} for kind, s in content.items()}}


def _get(text: str, content: Mapping[str, Schema], **others: Schema) -> Schema:
    return {"get": {"summary": text, "responses": {"200": _response(text, content), **others}}}


def _post(
    text: str, request: str, answer: Schema, kinds: Mapping[str, Schema], error: str = "Error"
) -> Schema:
    mistakes = {status: _response(told, {_JSON: _ref(error)}) for status, told in _MISTAKES.items()}
    return {
        "summary": text,
        "requestBody": {"required": True, "content": {_JSON: {"schema": _ref(request)}}},
        "responses": {"200": _response("The features.", {_JSON: answer, **kinds}), **mistakes},
    }


def _found(key: Mapping[str, Schema]) -> Schema:
    """The search: parameters in the query string."""
    text: Schema = {"type": "string"}
    numbers = {
        "limit": {"type": "integer", "minimum": 0, "maximum": 1_000},
        "offset": {"type": "integer", "minimum": 0, "maximum": 1_000_000_000},
    }
    facets = ("status", "entity", "tag", "source", "owner", "group", "type")
    lists: dict[str, Schema] = {name: {"type": "array", "items": text} for name in facets}
    given: dict[str, Schema] = {"q": text, **numbers, **lists}
    wrong = _response(_MISTAKES["422"], {_JSON: _ref("Error")})
    made = _get(
        "Features that words and facets find, ranked.",
        {_JSON: _ref("Found")},
        **{"422": wrong},
        **key,
    )
    made["get"]["parameters"] = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in given.items()
    ]
    return made


def openapi(project: str, limits: Limits, *, keys: bool = False) -> dict[str, Any]:
    """The document of a project's server.

    Args:
        limits: of requests.
        keys: whether it wants keys.
    """
    binary: dict[str, Schema] = {
        "application/msgpack": {},
        "application/vnd.apache.arrow.stream": {},
    }
    health = _response("A view cannot be served.", {_JSON: _ref("Health")})
    in_path = {"name": "service", "in": "path", "required": True, "schema": _TEXT}
    of_service = _post(
        "A service's features, a row an entity.",
        "VectorsOfServiceRequest",
        _ref("VectorsAnswer"),
        binary,
    )
    vectors = _post("Features, a row an entity.", "VectorsRequest", _ref("VectorsAnswer"), binary)
    feast = _post(
        "Features in Feast's shape.", "FeastRequest", _ref("FeastAnswer"), {}, "FeastError"
    )
    key = {"401": _response(_MISTAKES["401"], {_JSON: _ref("Error")})}
    bearer = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{project}: features", "version": "1"},
        "paths": {
            "/get-online-features": {"post": feast},
            "/v1/vectors": {"post": vectors},
            "/v1/services/{service}/vectors": {"post": {**of_service, "parameters": [in_path]}},
            "/features": _get("Views, features and services.", {_JSON: _ref("Features")}, **key),
            "/v1/features": _found(key),
            "/health": _get(
                "Whether all views can be served.", {_JSON: _ref("Health")}, **{"503": health}
            ),
            "/metrics": _get("Metrics for Prometheus.", {"text/plain": _TEXT}, **key),
            "/": _get("The catalogue.", {"text/html": _TEXT}, **key),
        },
        **({"security": [{"key": []}]} if keys else {}),
        "components": {
            **(bearer if keys else {}),
            "schemas": {
                "Error": _ERROR,
                "FeastError": {
                    "anyOf": [_ref("Error"), _TEXT],
                    "description": "The object, or, where include_feature_view_version_metadata is "
                    "sent, its JSON as a string: Feast's client wants it so.",
                },
                **_requests(limits),
                "FeastAnswer": _FEAST_ANSWER,
                "VectorsAnswer": _VECTORS_ANSWER,
                "Health": _HEALTH,
                "Features": _FEATURES,
                "Found": _FOUND,
            },
        },
    }
