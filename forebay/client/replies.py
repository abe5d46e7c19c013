"""Answers of the server's other paths."""

from __future__ import annotations

from typing import Any

import orjson

from forebay.client.errors import error_of
from forebay.client.http1 import Response
from forebay.client.listing import Health

_OK, _DEGRADED = 200, 503


def read_listing(response: Response, url: str) -> dict[str, Any]:
    """The answer of GET /features. Raises UnavailableError where it is not forebay's."""
    listing = _object(response.body)
    if listing is None or not {"views", "services"} <= set(listing):
        raise error_of(response, url)
    return listing


def read_health(response: Response, url: str) -> Health:
    """The answer of GET /health. Raises ForebayError unless it is one."""
    health = _object(response.body)
    if response.status not in (_OK, _DEGRADED) or health is None or "not_ready" not in health:
        raise error_of(response, url)
    not_ready, waiting = tuple(health["not_ready"]), tuple(health.get("waiting", ()))
    return Health(response.status == _OK, not_ready, waiting)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return raw if isinstance(raw, dict) else None
