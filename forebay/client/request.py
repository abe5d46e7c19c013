"""A call for vectors as requests of the API, each of as many entities as the server takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from feature_specs.errors import DataError
from forebay.client.values import Columns, sendable_columns, sendable_request

#: The most entities of one request.
ENTITY_LIMIT = 1_000


@dataclass(frozen=True)
class VectorRequest:
    """One request.

    Attributes:
        service: None where the body names the features.
        first: index of its first entity among all of the call.
    """

    service: str | None
    body: bytes
    first: int

    @property
    def path(self) -> str:
        if self.service is None:
            return "/v1/vectors"
        return f"/v1/services/{quote(self.service, safe='')}/vectors"


def vector_requests(
    features: str | Sequence[str],
    entities: Columns,
    request: Mapping[str, Any] | None,
    ages: bool,
    budget: float | None = None,
) -> list[VectorRequest]:
    """The requests of a call, in the order of its entities.

    Args:
        features: a service's name, or features as ``view:feature``.
        budget: seconds that the online store may take.

    Raises:
        DataError: a value or the budget cannot be sent.
    """
    service = features if isinstance(features, str) else None
    columns = sendable_columns(entities, "entities")
    values = sendable_request(request or {})
    body: dict[str, Any] = {} if service is not None else {"features": list(features)}
    if ages:
        body["ages"] = True
    if budget is not None:
        if not math.isfinite(budget):  # JSON would send null, which is no budget
            raise DataError(
                f"the budget is {budget}", where="budget", hint="give seconds from 0.001 to 60"
            )
        body["budget_ms"] = budget * 1e3
    made = []
    for first, part in _parts(columns, values):
        made.append(VectorRequest(service, _encoded({**body, **part}), first))
    return made


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:
        # Every other value was made one of JSON's.
        raise DataError(
            f"a text cannot be sent: {error}",
            where="the request",
            hint="send texts that UTF-8 can encode",
        ) from None


def _parts(
    columns: dict[str, list[Any]], values: dict[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    lists = [*columns.values(), *(value for value in values.values() if isinstance(value, list))]
    count = len(lists[0]) if lists else 0
    if count <= ENTITY_LIMIT or any(len(values) != count for values in lists):
        # Lists of different lengths are one request, which is refused by name.
        yield 0, _part(columns, values)
        return
    for first in range(0, count, ENTITY_LIMIT):
        part = slice(first, first + ENTITY_LIMIT)
        yield (
            first,
            _part(
                {name: column[part] for name, column in columns.items()},
                {
                    n: value[part] if isinstance(value, list) else value
                    for n, value in values.items()
                },
            ),
        )


def _part(columns: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {"entities": columns, "request": values} if values else {"entities": columns}
