"""Feast's answer: a result of values, statuses and times for each entity column and each feature."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from feature_specs.catalog import ViewEntry
from serving.api.feast.rewrites import Rewrites
from serving.lookup.errors import InvalidRequestError
from serving.lookup.plan import Plan
from serving.lookup.read import NEVER, Turns, ViewRows
from serving.rows import NULL

_PRESENT, _NULL_VALUE = b'"PRESENT"', b'"NULL_VALUE"'
_START = b'{"values":['


def answer_head(names: Sequence[str], views: Sequence[ViewEntry] = ()) -> bytes:
    """The answer's beginning, from the names of all its results.

    Args:
        views: those whose versions are asked for. Feast names the version of a view that has one.
    """
    metadata: dict[str, Any] = {"feature_names": names}
    if views:
        metadata["feature_view_metadata"] = [_version(view) for view in views]
    return b'{"metadata":%s,"results":[' % orjson.dumps(metadata)


def _version(view: ViewEntry) -> dict[str, Any]:
    """A view's name, and the number of a dbt model that has versions."""
    number = re.search(r"\.v([0-9]+)$", view.unique_id)
    return {"name": view.name} | ({"version": int(number[1])} if number else {})


async def answer_body(
    head: bytes,
    entities: Sequence[Sequence[Any]],
    plan: Plan,
    views: Sequence[ViewRows],
    rewrites: Sequence[Rewrites],
) -> bytes:
    """The answer's JSON.

    Args:
        head: as `answer_head` made it.
        entities: the entity columns as they were sent.
        views: as `read` gave them, in the plan's order.
        rewrites: of each of them.
    """
    results = [_entity_result(values) for values in entities]
    turns = Turns()
    features: list[bytes] = []
    for rows, own in zip(views, rewrites, strict=True):
        if len(rows.rows) == 1:
            features += _single(rows, plan.in_order, own)
        else:
            features += await _many(rows, turns, own)
    if not plan.in_order:
        slots = [slot for view in plan.views for slot in view.slots]
        by_slot = dict(zip(slots, features, strict=True))
        features = [by_slot[slot] for slot in range(len(features))]
    return head + b",".join(results + features) + b"]}"


def _single(rows: ViewRows, in_order: bool, rewrites: Rewrites) -> list[bytes]:
    """The results of one view's features for one entity.

    Args:
        in_order: they stand side by side in the answer, so that they may be joined already.
    """
    time, values, nulls = rows.vector()
    if rewrites:
        values = list(values)
        for at, rewrite in rewrites:
            values[at] = rewrite(values[at])
    status = b'"%s"' % rows.absent[0].encode() if rows.absent else _PRESENT
    end = b'],"statuses":[%s],"event_timestamps":["%sZ"]}'
    plain = end % (status, time)
    if nulls:
        null = _START + NULL + end % (_NULL_VALUE, time)
        return [null if value == NULL else _START + value + plain for value in values]
    if in_order:
        return [_START + (plain + b"," + _START).join(values) + plain]
    return [_START + value + plain for value in values]


async def _many(rows: ViewRows, turns: Turns, rewrites: Rewrites) -> list[bytes]:
    """The results of one view's features for any number of entities."""
    features = len(rows.plan.features)
    values: list[list[bytes]] = [[] for _ in range(features)]
    statuses: list[list[bytes]] = [[] for _ in range(features)]
    times: list[bytes] = []
    for block in rows.blocks():
        own = [_PRESENT] * len(block.times)
        for i in block.absent:
            own[i - block.first] = b'"%s"' % rows.absent[i].encode()
        plain = b",".join(own)
        times.append(_quoted(block.times))
        for at, rewrite in rewrites:
            block.columns[at] = list(map(rewrite, block.columns[at]))
        for at, (column, nulls) in enumerate(zip(block.columns, block.nulls, strict=True)):
            values[at].append(b",".join(column))
            statuses[at].append(_with_nulls(column, own) if nulls else plain)
        await turns.worked(len(own) * features)
    end = b'],"event_timestamps":[%s]}' % b",".join(times)
    return [
        b'%s%s],"statuses":[%s%s' % (_START, b",".join(column), b",".join(status), end)
        for column, status in zip(values, statuses, strict=True)
    ]


def _with_nulls(column: Sequence[bytes], statuses: Sequence[bytes]) -> bytes:
    return b",".join(
        [
            _NULL_VALUE if value == NULL and status is _PRESENT else status
            for value, status in zip(column, statuses, strict=True)
        ]
    )


def _entity_result(values: Sequence[Any]) -> bytes:
    """An entity column as it was sent, as Feast echoes it."""
    count = len(values)
    made = b'{"values":%s,"statuses":[%s],"event_timestamps":[%s]}'
    try:
        shown = orjson.dumps(values)
    except orjson.JSONEncodeError as error:
        raise InvalidRequestError(
            f"an entity cannot be repeated: {error}", where="entities", hint="send plain values"
        ) from None
    return made % (shown, b",".join([_PRESENT] * count), _quoted([NEVER] * count))


def _quoted(times: Sequence[bytes]) -> bytes:
    """Times in the form of a row's header as JSON instants."""
    return b'"' + b'Z","'.join(times) + b'Z"' if times else b""
