"""From a request to the answer's bytes: one store read, stored values passed on undecoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from feature_specs.errors import DataError, ForebayError
from serving.api.errors import NotReadyError
from serving.api.request import LookupRequest
from serving.api.values import coerce_columns, column_of
from serving.api.views import Computed, ReadyView
from serving.keys import epoch_us
from serving.rows import NULL, split_row
from serving.stores import OnlineStore, Slice

PRESENT, NULL_VALUE = b'"PRESENT"', b'"NULL_VALUE"'
NOT_FOUND, OUTSIDE_MAX_AGE = b'"NOT_FOUND"', b'"OUTSIDE_MAX_AGE"'

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = b'"1970-01-01T00:00:00Z"'


@dataclass
class Answer:
    """The answer's JSON, and how many values had which status, by (view, status)."""

    body: bytes
    statuses: Mapping[tuple[str, str], int]


@dataclass
class _Row:
    """One entity's row of one view: ``fragments`` is None where all features are null."""

    status: bytes
    timestamp: bytes
    fragments: list[bytes] | None = None
    event_time_us: int | None = None


class Lookup:
    """Answers requests from a store.

    Args:
        failed: views that cannot be served, and why.
    """

    def __init__(
        self,
        views: Mapping[str, ReadyView],
        store: OnlineStore,
        failed: Mapping[str, ForebayError],
    ) -> None:
        self._views = views
        self._store = store
        self._failed = failed

    def answer(self, request: LookupRequest, now: datetime) -> Answer:
        """The response of Feast's feature server, with the read-time parts at ``now``.

        Raises:
            InvalidRequestError: an entity or a request value is missing.
            DataError: a value has the wrong type, or a read-time expression fails on it.
            NotReadyError: a view is not synced, or cannot be served.
        """
        asked = {name: self._view(name) for name, _ in request.features}
        keys: dict[str, list[bytes | None]] = {}
        for name, view in asked.items():
            columns = [column_of(request, view.entry, c, "entity") for c in view.entry.entities]
            keys[name] = view.keys(coerce_columns(view.coercers, columns))
        wanted = {name: [k for k in found if k is not None] for name, found in keys.items()}
        slices = self._store.get_many(wanted)
        readers = {
            name: _ViewReader(view, keys[name], slices[name], request, now)
            for name, view in asked.items()
        }
        results = [_entity_result(values) for values in request.entities.values()]
        results += [readers[view].result(feature) for view, feature in request.features]
        statuses = {
            (name, status.decode().strip('"')): count
            for name, reader in readers.items()
            for status, count in reader.statuses.items()
        }
        names = orjson.dumps([*request.entities, *request.names])
        body = b'{"metadata":{"feature_names":%s},"results":[%s]}' % (names, b",".join(results))
        return Answer(body, statuses)

    def _view(self, name: str) -> ReadyView:
        error = self._failed.get(name)
        if error is not None:
            raise NotReadyError(
                f"feature view {name!r} cannot be served: {error.what}", where=name, mend=error.mend
            )
        return self._views[name]


class _ViewReader:
    """One view's rows for one request."""

    def __init__(
        self,
        view: ReadyView,
        keys: Sequence[bytes | None],
        found: Slice,
        request: LookupRequest,
        now: datetime,
    ) -> None:
        self._view = view
        self._request = request
        self._now = now
        entry, now_us = view.entry, epoch_us(now)
        state = view.state(found.state)
        self._at = _timestamp(state.at)
        self._oldest = None if entry.ttl_us is None else now_us - entry.ttl_us
        stale = entry.freshness_us is not None and now_us - state.at > entry.freshness_us
        self._withheld = stale and entry.on_stale == "null"
        rows = iter(found.rows)
        self._rows = [self._row(None if key is None else next(rows)) for key in keys]
        self._timestamps = b",".join([row.timestamp for row in self._rows])
        absent = [NULL] * len(entry.stored)
        self._fragments = [absent if row.fragments is None else row.fragments for row in self._rows]
        self._absent = sum(row.fragments is None for row in self._rows)
        # The statuses of a feature that has no null of its own: most features share them.
        plain = [row.status for row in self._rows]
        self._plain, self._plain_counts = b",".join(plain), Counter(plain)
        self.statuses: Counter[bytes] = Counter()

    def result(self, feature: str) -> bytes:
        """One feature over all rows; `statuses` counts its values."""
        computed = self._view.computed.get(feature)
        if computed is None:
            at = self._view.positions[feature]
            values = [fragments[at] for fragments in self._fragments]
        else:
            values = self._evaluate(feature, computed)
        if values.count(NULL) == self._absent:
            statuses = self._plain
            self.statuses.update(self._plain_counts)
        else:
            own = [
                NULL_VALUE if value == NULL and row.fragments is not None else row.status
                for value, row in zip(values, self._rows, strict=True)
            ]
            statuses = b",".join(own)
            self.statuses.update(own)
        body = b'{"values":[%s],"statuses":[%s],"event_timestamps":[%s]}'
        return body % (b",".join(values), statuses, self._timestamps)

    def _row(self, row: bytes | None) -> _Row:
        if row is None:
            return _Row(NOT_FOUND, _NEVER)
        event_time, fragments = split_row(row)
        timestamp = self._at if event_time is None else _timestamp(event_time)
        expired = self._oldest is not None and event_time is not None and event_time < self._oldest
        if expired or self._withheld:
            return _Row(OUTSIDE_MAX_AGE, timestamp)
        return _Row(PRESENT, timestamp, fragments, event_time)

    def _evaluate(self, feature: str, computed: Computed) -> list[bytes]:
        expression = computed.expression
        entry, request = self._view.entry, self._request
        given = [
            (name, column_of(request, entry, self._view.requests[name][0], "request value"))
            for name in sorted(expression.requests)
        ]
        coercers = [self._view.requests[name][1] for name, _ in given]
        sent = coerce_columns(coercers, [values for _, values in given])
        key_columns = [
            (key, coerce, request.given[key])
            for key, coerce in zip(self._view.key_columns, self._view.coercers, strict=True)
            if key in expression.columns
        ]
        event_time = self._view.time_column
        made = []
        for i, row in enumerate(self._rows):
            if row.fragments is None:
                made.append(NULL)
                continue
            values = self._view.decode(row.fragments, expression.columns)
            for name, coerce, column in key_columns:
                values[name] = coerce(column[i])
            if event_time in expression.columns and row.event_time_us is not None:
                values[event_time] = _moment(row.event_time_us)
            asked = {name: column[i] for (name, _), column in zip(given, sent, strict=True)}
            made.append(self._compute(feature, computed, values, asked))
        return made

    def _compute(
        self, feature: str, computed: Computed, values: dict[str, Any], asked: dict[str, Any]
    ) -> bytes:
        try:
            value = computed.expression.evaluate(values, self._now, asked)
        except DataError as error:
            raise DataError(
                f"feature {feature!r} cannot be computed: {error.what}",
                where=self._view.name,
                mend=error.mend,
            ) from None
        return computed.encode(value).encode()


def _entity_result(values: Sequence[Any]) -> bytes:
    """An entity column as it was sent, as Feast echoes it."""
    count = len(values)
    statuses, times = b",".join([PRESENT] * count), b",".join([_NEVER] * count)
    body = b'{"values":%s,"statuses":[%s],"event_timestamps":[%s]}'
    return body % (orjson.dumps(values), statuses, times)


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _timestamp(us: int) -> bytes:
    """A JSON instant, its fraction left out when it is 0, as Feast writes it."""
    text = _moment(us).replace(tzinfo=None).isoformat()
    return f'"{text}Z"'.encode()
