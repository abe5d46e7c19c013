"""Reading a plan: one store read, then each view's rows in one pass, stored values undecoded."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, cast

from feature_specs.errors import ForebayError
from feature_specs.instants import epoch_us
from serving.lookup.computed import compute
from serving.lookup.plan import Given, Plan, ViewLookup
from serving.lookup.views import Loaded, ReadyView
from serving.rows import NULL, SEPARATOR, header_text
from serving.stores import OnlineStore, Slice, StoreDownError, StoredView

NOT_FOUND, OUTSIDE_MAX_AGE = "NOT_FOUND", "OUTSIDE_MAX_AGE"
#: The store did not give a view's rows in the time that the request allows.
UNAVAILABLE = "UNAVAILABLE"
PRESENT, NULL_VALUE = "PRESENT", "NULL_VALUE"

#: The time of what has none, in the form of a row's header.
NEVER = b"1970-01-01T00:00:00"

#: The instant of rows that did not come.
_UNKNOWN = Loaded(0, NEVER)

#: No entity is absent.
_NOBODY: Mapping[int, str] = MappingProxyType({})

_NULL_FIELD = SEPARATOR + NULL
#: Values that are split at once.
_BLOCK = 5_000
#: Values that are worked on, two or three milliseconds' work, before other requests have their turn.
#: To go to and fro between large requests costs each of them the processor's caches.
_TURN = 12_000


class Vector(NamedTuple):
    """One entity's features of one view: its time, a fragment a feature, and how many are null
    though the entity has features."""

    time: bytes
    values: Sequence[bytes]
    nulls: int


class RowBlock(NamedTuple):
    """Some entities' features of one view.

    Attributes:
        first: index of the first entity.
        absent: indices of those without features, ascending.
        times: of each entity, in the form of a row's header.
        columns: for each feature a fragment an entity.
        nulls: of each feature, how many are null though the entity has features.
    """

    first: int
    absent: Sequence[int]
    times: list[bytes]
    columns: list[Sequence[bytes]]
    nulls: list[int]


@dataclass(slots=True)
class ViewRows:
    """What one view holds for the entities of one request.

    Attributes:
        rows: a stored row for each entity; those of absent entities hold nulls only.
        loaded: the instant of the view's rows, which is the time of rows without one.
        absent: the entities without features, by index: NOT_FOUND, OUTSIDE_MAX_AGE or UNAVAILABLE.
        keys: of each entity in the store; None where a part of it is null.
        nulls: null features of the other entities, counted as they are read.
    """

    plan: ViewLookup
    rows: list[bytes]
    loaded: Loaded
    absent: Mapping[int, str]
    given: Given
    now: datetime
    keys: Sequence[bytes | None]
    nulls: int = 0

    def vector(self) -> Vector:
        """The features of a request of one entity."""
        plan, row = self.plan, self.rows[0]
        fields = row.split(SEPARATOR)
        if len(fields) != plan.view.width:
            raise _other_columns(plan.view)
        values: Sequence[bytes]
        if plan.whole:
            values = fields[1:]
        elif plan.pick is not None:
            values = plan.pick(fields)
        else:
            values = [
                fields[feature]
                if isinstance(feature, int)
                else compute(plan.view, feature, [fields], self.absent, self.given, self.now)[0]
                for feature in plan.features
            ]
        nulls = 0
        if not self.absent and (plan.pick is None or _NULL_FIELD in row):
            nulls = values.count(NULL)
            self.nulls += nulls
        return Vector(fields[0] or self.loaded.header, values, nulls)

    def blocks(self) -> Iterator[RowBlock]:
        """The features of all entities, some thousand values at a time."""
        size = max(1, _BLOCK // self.plan.view.width)
        absent = sorted(self.absent)
        seen = 0
        for first in range(0, len(self.rows), size):
            rows = self.rows[first : first + size]
            before, seen = seen, bisect_left(absent, first + len(rows), seen)
            yield self._block(first, rows, absent[before:seen])

    def bodies(self) -> list[bytes]:
        """Each entity's stored fragments, joined by NUL; for a plan that takes the whole of them.

        Whoever joins those of all views has them checked by `check_side_by_side`.
        """
        return [row.partition(SEPARATOR)[2] for row in self.rows]

    def age_s(self) -> float | None:
        """The age of the view's rows in seconds; None where they did not come."""
        if self.loaded is _UNKNOWN:
            return None
        return (epoch_us(self.now) - self.loaded.at) / 1e6

    def _block(self, first: int, rows: list[bytes], absent: Sequence[int]) -> RowBlock:
        plan, view = self.plan, self.plan.view
        joined = SEPARATOR.join(rows)
        fields = joined.split(SEPARATOR)
        if len(fields) != len(rows) * view.width:
            raise _other_columns(view)
        times = fields[:: view.width]
        if not all(times):
            times = [time or self.loaded.header for time in times]
        missing = len(absent)
        no_nulls = _count_nulls(joined) == missing * (view.width - 1)
        columns: list[Sequence[bytes]] = []
        nulls = []
        split: list[Sequence[bytes]] = []
        for feature in plan.features:
            if isinstance(feature, int):
                column: Sequence[bytes] = fields[feature :: view.width]
                nulls.append(0 if no_nulls else column.count(NULL) - missing)
            else:
                if not split:
                    split = [fields[i : i + view.width] for i in range(0, len(fields), view.width)]
                column = compute(view, feature, split, self.absent, self.given, self.now, first)
                nulls.append(column.count(NULL) - missing)
            columns.append(column)
        self.nulls += sum(nulls)
        return RowBlock(first, absent, times, columns, nulls)


def check_side_by_side(views: Sequence[ViewRows], joined: bytes) -> None:
    """Count the null features of views whose `bodies` were joined by NULs, an entity a row.

    Raises:
        ForebayError: the rows do not have the columns of their views.
    """
    width = sum(view.plan.view.width - 1 for view in views)
    whole = joined.count(SEPARATOR) == len(views[0].rows) * (width - 1)
    if whole and b"n" not in joined:
        return  # no null among them
    for view in views:
        stored = view.plan.view.width - 1
        if any(row.count(SEPARATOR) != stored for row in view.rows):
            raise _other_columns(view.plan.view)
        nulls = sum(row.count(_NULL_FIELD) for row in view.rows)
        view.nulls += nulls - len(view.absent) * stored


def _count_nulls(fields: bytes) -> int:
    """How many fragments of joined rows are null."""
    # Numbers hold no n: to find none of it is 20 times faster.
    return fields.count(_NULL_FIELD) if b"n" in fields else 0


class Turns:
    """Lets other requests have their turn while a large one is worked on."""

    def __init__(self) -> None:
        self._values = 0

    async def worked(self, values: int) -> None:
        """So many values were worked on since the last call."""
        self._values += values
        if self._values >= _TURN:
            self._values = 0
            await asyncio.sleep(0)


async def read(
    store: OnlineStore, plan: Plan, given: Given, now: datetime, budget_s: float | None = None
) -> list[ViewRows]:
    """The rows of each of the plan's views, in its order.

    Args:
        now: the clock of ttl, ages and read-time features, an aware datetime in UTC.
        budget_s: how long the store may take; views whose rows have not come by then are answered as
            UNAVAILABLE. None waits for all.

    Raises:
        DataError: a key has the wrong type.
        NotReadyError: a view is not synced.
        StoreDownError: the store does not answer at all.
    """
    keys = [group.keys(given) for group in plan.groups]
    present = [_present(group) for group in keys]
    wanted, first = _wanted(plan, present)
    if budget_s is None:
        slices = await store.read(wanted)
    else:
        slices = await _read_within(store, plan, wanted, budget_s)
    now_us = epoch_us(now)
    made = []
    for part, start in zip(plan.views, first, strict=True):
        view = part.view
        found = slices.get(view.stored_view.name)
        if found is None:
            made.append(_unavailable(part, keys[part.group], given, now))
            continue
        state, rows = found
        if len(rows) != len(present[part.group]):
            rows = rows[start : start + len(present[part.group])]
        if len(rows) != len(keys[part.group]):
            rows = _spread(keys[part.group], rows)
        loaded = view.state(state)
        if view.always_valid and all(rows):
            own = keys[part.group]
            made.append(ViewRows(part, cast(list[bytes], rows), loaded, _NOBODY, given, now, own))
        else:
            made.append(_view_rows(part, loaded, rows, given, now, now_us, keys[part.group]))
    return made


async def _read_within(
    store: OnlineStore, plan: Plan, wanted: Mapping[StoredView, Sequence[bytes]], budget_s: float
) -> dict[str, Slice]:
    """What comes in time. Views of one key are read together, since a store keeps them together."""
    groups: list[dict[StoredView, Sequence[bytes]]] = [{} for _ in plan.groups]
    for part in plan.views:
        groups[part.group][part.view.stored_view] = wanted[part.view.stored_view]
    reads = [asyncio.ensure_future(store.read(group)) for group in groups]
    try:
        await asyncio.wait(reads, timeout=budget_s)
    finally:
        late = [read for read in reads if not read.done()]
        for read in late:
            read.cancel()
    slices: dict[str, Slice] = {}
    failed: StoreDownError | None = None
    for read in reads:
        if read in late:
            continue
        try:
            slices |= read.result()
        except StoreDownError as error:
            failed = error
    if slices:
        return slices
    raise failed or StoreDownError(
        f"the online store gave nothing within {budget_s * 1e3:g} ms",
        where="budget_ms",
        hint="allow more time, or try again soon",
    )


def _unavailable(
    plan: ViewLookup, keys: Sequence[bytes | None], given: Given, now: datetime
) -> ViewRows:
    absent = {i: NOT_FOUND if key is None else UNAVAILABLE for i, key in enumerate(keys)}
    return ViewRows(plan, [NEVER + plan.view.nulls] * len(keys), _UNKNOWN, absent, given, now, keys)


def _wanted(
    plan: Plan, present: Sequence[Sequence[bytes]]
) -> tuple[dict[StoredView, Sequence[bytes]], list[int]]:
    """The keys to read of each stored view, and where those of each of the plan's views begin: a
    view in several roles is read once, by the keys of all of them."""
    wanted: dict[StoredView, Sequence[bytes]] = {}
    first = []
    for part in plan.views:
        before = wanted.get(part.view.stored_view)
        first.append(len(before or ()))
        keys = present[part.group]
        wanted[part.view.stored_view] = keys if before is None else [*before, *keys]
    return wanted, first


def _present(keys: list[bytes | None]) -> Sequence[bytes]:
    return [key for key in keys if key is not None]


def _spread(keys: Sequence[bytes | None], found: Sequence[bytes | None]) -> list[bytes | None]:
    """A row for each key; None for a key that is None, as none was asked for it."""
    rows = iter(found)
    return [None if key is None else next(rows) for key in keys]


def _view_rows(
    plan: ViewLookup,
    loaded: Loaded,
    rows: list[bytes | None],
    given: Given,
    now: datetime,
    now_us: int,
    keys: Sequence[bytes | None],
) -> ViewRows:
    view, entry = plan.view, plan.view.entry
    absent = {i: NOT_FOUND for i, row in enumerate(rows) if row is None}
    nobody = NEVER + view.nulls
    filled = [nobody if row is None else row for row in rows]
    expired: Sequence[int] = ()
    if view.withheld(loaded, now_us):
        expired = range(len(rows))
    elif entry.ttl_us is not None:
        expired = _older(filled, now_us - entry.ttl_us)
    for i in expired:
        if i not in absent:
            absent[i] = OUTSIDE_MAX_AGE
            filled[i] = filled[i].partition(SEPARATOR)[0] + view.nulls
    return ViewRows(plan, filled, loaded, absent, given, now, keys)


def _older(rows: Sequence[bytes], oldest_us: int) -> Sequence[int]:
    """Indices of the rows whose event time lies before an instant."""
    try:
        oldest = header_text(oldest_us).encode()
    except OverflowError:
        return ()  # before the year 1
    # Rows compare as their headers do: NUL, which ends a header, sorts before all characters.
    if not rows or min(rows) >= oldest:
        return ()
    return [i for i, row in enumerate(rows) if row < oldest]


def _other_columns(view: ReadyView) -> ForebayError:
    """Rows of another width would be read as other features' values."""
    return ForebayError(
        f"the online store holds rows of {view.name!r} that do not have its columns",
        where=view.name,
        hint=f"run `forebay sync {view.name}`",
    )
