"""Does the online store hold what the lakehouse holds, value by value, and is it fresh?"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from feature_specs.catalog import Catalog
from feature_specs.instants import epoch_us
from feature_specs.library_errors import explain_one, known_errors
from feature_specs.sql_types import parse_type
from lakehouse.same_values import TOLERANCE
from serving.clock import catalog_clock
from serving.columns import RowEncoder, microseconds
from serving.keys import decode_key
from serving.offline import FeatureTable, open_feature_tables
from serving.rows import from_json, split_row
from serving.state import ViewState, load_state
from serving.stores import OnlineStore, StoredView, open_store

_EXAMPLES = 10
#: In so many samples of 100 the share of entities that differ is below `VerifyReport.most_wrong`.
CONFIDENCE = 0.99


@dataclass(frozen=True)
class Difference:
    """One value, or with column None one row, that differs. ``key`` holds the key's texts."""

    key: tuple[str, ...]
    column: str | None
    offline: Any
    online: Any

    def __str__(self) -> str:
        if self.column is None:
            side = "offline" if self.online is None else "online"
            return f"{self.key}: only {side}"
        offline, online = value_text(self.offline), value_text(self.online)
        return f"{self.key} {self.column}: offline {offline}, online {online}"


@dataclass
class VerifyReport:
    """What `verify` found of a view.

    Attributes:
        offline_rows, online_rows: entities on either side.
        values: how many values were compared.
        different: values that differ; missing: rows only offline; extra: rows only online.
        examples: the first differences.
        behind_us: how far the store's instant lies before the table's, in microseconds; None where
            the view was never synced.
        same_query: whether the store's rows come from the compiled query.
        age_us: age of the store's rows at the catalog's now; freshness_us: the most it may be.
        non_null: share of values that are not null, by stored column; None of an empty table.
        sampled: how many entities were drawn and compared; None where all were. Then rows that
            are online only are not looked for.
        error: why the view could not be compared, with a hint.
    """

    view: str
    offline_rows: int = 0
    online_rows: int = 0
    values: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    examples: list[Difference] = field(default_factory=list)
    behind_us: int | None = None
    same_query: bool = False
    age_us: int | None = None
    freshness_us: int | None = None
    non_null: dict[str, float | None] = field(default_factory=dict)
    sampled: int | None = None
    error: str | None = None

    @property
    def most_wrong(self) -> float | None:
        """Of a sample without a difference, the share of entities that may differ all the same, at
        `CONFIDENCE`; None where all were compared, or some differ.

        Of n drawn at random none differs, where a share p of all does, in (1 - p)^n of cases.
        """
        if self.sampled is None or self.different or self.missing:
            return None
        if not self.sampled:
            return 1.0
        return -math.expm1(math.log(1 - CONFIDENCE) / self.sampled)

    @property
    def equal(self) -> bool:
        """Online equals offline."""
        if self.error is not None:
            return False
        return self.same_query and not (self.different or self.missing or self.extra)

    @property
    def fresh(self) -> bool:
        """The store's rows are no older than the view allows."""
        if self.age_us is None:
            return False
        return self.freshness_us is None or self.age_us <= self.freshness_us

    @property
    def ok(self) -> bool:
        return self.equal and self.fresh


def verify(
    catalog: Catalog,
    views: Sequence[str] | None = None,
    *,
    now: datetime | None = None,
    sample: int | None = None,
) -> list[VerifyReport]:
    """Compare each view's Iceberg table with the online store.

    A view that cannot be compared, as one that is not built, is reported so; the others are.

    Args:
        views: names; None for all.
        now: the instant that ages count from; by default the catalog's, else the real one.
        sample: how many entities of a view to draw and compare, about; None for all.

    Raises:
        UnknownNameError: there is no such view.
        ForebayError: there is no store, or it cannot be opened.
    """
    chosen = [catalog.view(name) for name in (catalog.views if views is None else views)]
    done: dict[str, VerifyReport] = {}
    tables, failed = open_feature_tables(catalog, chosen)
    at = epoch_us(now if now is not None else catalog_clock(catalog)())
    if tables:
        with closing(open_store(catalog.online, readonly=True)) as store:
            for name, table in tables.items():
                try:
                    done[name] = _Comparison(store, table).run(at, sample)
                except known_errors() as error:
                    failed[name] = explain_one(error)
    left_out = catalog.views_left_out() if views is None else []
    return [
        *(done.get(v.name) or VerifyReport(v.name, error=str(failed[v.name])) for v in chosen),
        *(VerifyReport(out.name, error=str(out.problem())) for out in left_out),
    ]


@dataclass
class _Keys:
    """How many keys there were, and the sum of their hashes: equal of equal sets, in any order."""

    count: int = 0
    total: int = 0

    def add(self, key: bytes) -> None:
        self.count += 1
        self.total += hash(key)


class _Comparison:
    """The comparison of one view, and the report that it fills."""

    def __init__(self, store: OnlineStore, table: FeatureTable) -> None:
        self._store = store
        self._table = table
        view = table.view
        self._view = view
        self._stored_view = StoredView.of(view)
        self._encoder = RowEncoder(view)
        self._columns = [c.name for c in view.stored]
        self._spelled = {name: view.spelling(name) for name in self._columns}
        self._decode = [from_json(parse_type(c.type)) for c in view.stored]
        self._nulls = dict.fromkeys(self._columns, 0)
        self._met = _Keys()
        self.report = VerifyReport(view.name, freshness_us=view.freshness_us)

    def run(self, now: int, sample: int | None) -> VerifyReport:
        report = self.report
        state = load_state(self._store.get_state(self._stored_view))
        self._judge_state(state, now)
        rows = self._table.count()
        drawn = sample is not None and sample < rows
        batches = self._table.batches(self._encoder.columns)
        for batch in _draw(batches, sample / rows) if drawn and sample else batches:
            self._compare(self._encoder.entities_only(batch))
        if drawn:
            report.sampled, report.offline_rows = report.offline_rows, rows
            report.online_rows = 0 if state is None else state.rows
        else:
            self._count_online()
        total = report.offline_rows if report.sampled is None else report.sampled
        report.non_null = {
            self._spelled[name]: (total - nulls) / total if total else None
            for name, nulls in self._nulls.items()
        }
        return report

    def _count_online(self) -> None:
        online = _Keys()
        for key, _ in self._store.items(self._stored_view):
            online.add(key)
        self.report.online_rows = online.count
        if online != self._met:
            self._find_extra()

    def _judge_state(self, state: ViewState | None, now: int) -> None:
        if state is None:
            return
        self.report.same_query = state.semantic_hash == self._view.semantic_hash
        self.report.behind_us = self._table.state.at - state.at
        self.report.age_us = now - state.at

    def _compare(self, batch: pa.RecordBatch) -> None:
        """Compare rows as bytes, and value by value those that differ so.

        The bytes are encoded by `serving.columns`, which `sync` does not use.
        """
        report = self.report
        for name in self._columns:
            self._nulls[name] += batch[name].null_count
        pairs = list(self._encoder.encode(batch))
        report.offline_rows += len(pairs)
        keys = [key for key, _ in pairs]
        found = self._store.get_many({self._stored_view: keys})[self._stored_view.name].rows
        width = len(self._columns) + (self._view.event_time is not None)
        for place, ((key, expected), row) in enumerate(zip(pairs, found, strict=True)):
            if row is None:
                report.missing += 1
                self._example(key, None, "a row", None)
                continue
            self._met.add(key)
            if row == expected:
                report.values += width
            else:
                self._compare_row(key, row, batch.slice(place, 1))

    def _find_extra(self) -> None:
        """Count the rows that are online only."""
        known: set[bytes] = set()
        for batch in self._table.batches(self._view.keys):
            known.update(self._encoder.keys(self._encoder.entities_only(batch)))
        for key, _ in self._store.items(self._stored_view):
            if key not in known:
                self.report.extra += 1
                self._example(key, None, None, "a row")

    def _compare_row(self, key: bytes, row: bytes, offline: pa.RecordBatch) -> None:
        values = [offline[name][0].as_py() for name in self._columns]
        time = None
        if self._view.time_column is not None:
            time = microseconds(offline[self._view.time_column])[0].as_py()
        online_time, fragments = split_row(row)
        if len(fragments) != len(values):
            self.report.different += len(values)
            self._example(key, "all columns", len(values), len(fragments))
            return
        self.report.values += len(values) + (self._view.event_time is not None)
        if online_time != time:
            self._differs(key, str(self._view.event_time), time, online_time)
        # One parse a row: the fragments side by side are an array.
        parsed = json.loads(b"[" + b",".join(fragments) + b"]")
        for name, decode, offline, raw in zip(
            self._columns, self._decode, values, parsed, strict=True
        ):
            online = decode(raw)
            if not same_value(offline, online):
                self._differs(key, self._spelled[name], offline, online)

    def _differs(self, key: bytes, column: str, offline: Any, online: Any) -> None:
        self.report.different += 1
        self._example(key, column, offline, online)

    def _example(self, key: bytes, column: str | None, offline: Any, online: Any) -> None:
        if len(self.report.examples) < _EXAMPLES:
            self.report.examples.append(Difference(decode_key(key), column, offline, online))


def _draw(batches: Iterable[pa.RecordBatch], share: float) -> Iterator[pa.RecordBatch]:
    """A share of all rows, each drawn apart from the others."""
    drawing = random.Random()  # another draw in every run, so that many runs see more
    per_miss = math.log1p(-share)
    skip = int(math.log(1 - drawing.random()) / per_miss)
    for batch in batches:
        places = []
        while skip < batch.num_rows:
            places.append(skip)
            skip += 1 + int(math.log(1 - drawing.random()) / per_miss)
        skip -= batch.num_rows
        if places:
            yield batch.take(pa.array(places))


def value_text(value: Any) -> str:
    """A value as it is shown to people: numbers as such, whatever Python's type of them."""
    return str(value) if isinstance(value, Decimal) else repr(value)


def same_value(offline: Any, online: Any, within: float = 0.0) -> bool:
    """Whether a value of Arrow's equals a decoded one; NaN equals itself.

    Args:
        within: how far two floats may lie apart, as a share of the greater one.
    """
    if offline is None or online is None:
        return offline is online
    if isinstance(online, float):
        if within and isinstance(offline, float) and math.isclose(offline, online, rel_tol=within):
            return True
        return bool(offline == online or (offline != offline and online != online))
    if isinstance(online, datetime) and online.tzinfo is not None:
        return bool(epoch_us(offline.astimezone(UTC)) == epoch_us(online))
    if isinstance(online, uuid.UUID):
        return bool(offline == online or offline == online.bytes)
    if isinstance(online, Mapping):
        return offline.keys() == online.keys() and all(
            same_value(offline[name], value, within) for name, value in online.items()
        )
    if isinstance(online, list | tuple):
        return len(offline) == len(online) and all(
            same_value(one, other, within) for one, other in zip(offline, online, strict=True)
        )
    return bool(offline == online)


def near_value(one: Any, other: Any) -> bool:
    """Whether two values are equal, with floats as sums of the same numbers in another order are.

    >>> near_value(0.1 + 0.2, 0.3), near_value(1, 2), near_value([0.1 + 0.2], [0.3])
    (True, False, True)
    """
    return same_value(one, other, TOLERANCE)
