"""Vectors as JSON: names and types once, then a row an entity, of stored bytes joined."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from serving.api.vectors.prepared import Prepared, columns
from serving.lookup.read import Turns, ViewRows, check_side_by_side
from serving.rows import SEPARATOR

MEDIA_TYPE = b"application/json"
#: Rows that are joined before other requests have their turn.
_ROWS = 100


async def encode(prepared: Prepared, views: Sequence[ViewRows], ages: bool) -> bytes:
    """The answer's body."""
    rows = await joined_rows(prepared, views)
    notes = orjson.dumps(absent(views))
    if ages:
        notes += b',"ages":' + orjson.dumps(ages_s(views))
    return b'%s%s]],"absent":%s}' % (prepared.json_head, rows, notes)


async def joined_rows(prepared: Prepared, views: Sequence[ViewRows]) -> bytes:
    """The rows as JSON, without the brackets around the first and the last."""
    return await (_stored(views) if prepared.as_stored else _chosen(prepared, views))


def absent(views: Sequence[ViewRows]) -> list[dict[str, object]]:
    """Which entities have no features of which view, and why."""
    return [
        {"row": row, "view": rows.plan.view.name, "status": status}
        for rows in views
        if rows.absent
        for row, status in sorted(rows.absent.items())
    ]


def ages_s(views: Sequence[ViewRows]) -> dict[str, float]:
    """The age of each view's rows in seconds, of those that came."""
    found = ((rows.plan.view.name, rows.age_s()) for rows in views)
    return {name: age for name, age in found if age is not None}


async def _stored(views: Sequence[ViewRows]) -> bytes:
    """The rows as they are stored: no value is looked at."""
    if len(views[0].rows) == 1:
        joined = SEPARATOR.join([view.bodies()[0] for view in views])
    else:
        bodies, turns = [], Turns()
        for view in views:
            bodies.append(view.bodies())
            await turns.worked(len(view.rows) * len(view.plan.features) // 4)
        joined = b"],[".join(map(SEPARATOR.join, zip(*bodies, strict=True)))
    check_side_by_side(views, joined)
    return joined.replace(SEPARATOR, b",")


async def _chosen(prepared: Prepared, views: Sequence[ViewRows]) -> bytes:
    """The rows of some columns, of columns in another order, or of values computed at reading."""
    parts, turns = [], Turns()
    made = await columns(prepared, views, turns)
    for first in range(0, len(made[0]), _ROWS):
        chunk = [column[first : first + _ROWS] for column in made]
        parts.append(b"],[".join(map(b",".join, zip(*chunk, strict=True))))
        await turns.worked(len(chunk) * len(chunk[0]))
    return b"],[".join(parts)
