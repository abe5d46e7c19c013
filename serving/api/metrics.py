"""Metrics for Prometheus. Workers of one server share a folder, in which their counts add up.

A lookup adds to plain integers; they go to prometheus_client, whose counters take a lock and write
to that folder, before metrics are shown and, with several workers, within a second.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.lookup.read import (
    NOT_FOUND,
    NULL_VALUE,
    OUTSIDE_MAX_AGE,
    PRESENT,
    UNAVAILABLE,
    ViewRows,
)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
#: The environment variable that names the folder that workers share.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_FLUSH_S = 1.0

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counts of requests and values, and a histogram of latencies; for one event loop."""

    def __init__(self) -> None:
        self._folder = os.environ.get(FOLDER_VARIABLE)
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "forebay_requests", "Lookups by HTTP status.", ["status"], registry=self._registry
        )
        self._seconds = _BatchedHistogram(
            "forebay_request_seconds",
            "Time to answer a lookup.",
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._values = Counter(
            "forebay_feature_values",
            "Values served by status.",
            ["view", "status"],
            registry=self._registry,
        )
        self._dropped = Counter(
            "forebay_audit_dropped",
            "Lines of the audit log that were not written.",
            registry=self._registry,
        )
        self._lost = Counter(
            "forebay_served_log_dropped",
            "Vectors that were drawn for the log of served vectors, and not written.",
            registry=self._registry,
        )
        self._scheduled = False
        self._clear()

    def count_dropped(self, lines: int) -> None:
        """So many lines of the audit log were not written."""
        self._dropped.inc(lines)

    def count_lost(self, vectors: int) -> None:
        """So many vectors of the log of served vectors were not written."""
        self._lost.inc(vectors)

    def count_request(self, status: int, seconds: float) -> None:
        """A lookup was answered with an HTTP status after that time."""
        self._by_status[status] = self._by_status.get(status, 0) + 1
        self._by_bucket[bisect_left(_BUCKETS_S, seconds)] += 1
        self._total_s += seconds
        if self._folder is not None and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)

    def count_views(self, views: Iterable[ViewRows]) -> None:
        """The values that were read of each view."""
        by_view = self._by_view
        for rows in views:
            counts = by_view.get(rows.plan.view.name)
            if counts is None:
                counts = by_view[rows.plan.view.name] = [0] * len(_STATUSES)
            width = len(rows.plan.features)
            counts[0] += len(rows.rows) * width - rows.nulls
            if rows.nulls:
                counts[1] += rows.nulls
            if rows.absent:
                counts[0] -= len(rows.absent) * width
                for status in rows.absent.values():
                    counts[_PLACES[status]] += width

    def flush(self) -> None:
        """Hand all counts to prometheus_client."""
        self._scheduled = False
        for status, count in self._by_status.items():
            self._requests.labels(str(status)).inc(count)
        self._seconds.add(self._by_bucket, self._total_s)
        for view, counts in self._by_view.items():
            for kind, count in zip(_STATUSES, counts, strict=True):
                if count:
                    self._values.labels(view, kind).inc(count)
        self._clear()

    def render(
        self,
        ages_s: Mapping[str, float],
        rows: Mapping[str, int],
        allowed_s: Mapping[str, float],
    ) -> bytes:
        """The text to scrape, of all workers, as they were flushed.

        Reads the files of all workers, so that an event loop leaves it to a thread.

        Args:
            ages_s: age in seconds of each view's rows.
            rows: how many each view has.
            allowed_s: how old its rows may be, of each view that says so.
        """
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        gauges = CollectorRegistry()
        gauges.register(_Gauges(ages_s, rows, allowed_s))
        return generate_latest(registry) + generate_latest(gauges)

    def _clear(self) -> None:
        self._by_status: dict[int, int] = {}
        self._by_bucket = [0] * (len(_BUCKETS_S) + 1)
        self._total_s = 0.0
        self._by_view: dict[str, list[int]] = {}


#: In the order of the counts of a view.
_STATUSES = (PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE, UNAVAILABLE)
_PLACES = {status: place for place, status in enumerate(_STATUSES)}


class _BatchedHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add observations: how many fell into each bucket, and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


class _Gauges(Collector):
    """What is read from the store when metrics are shown."""

    def __init__(
        self,
        ages_s: Mapping[str, float],
        rows: Mapping[str, int],
        allowed_s: Mapping[str, float],
    ) -> None:
        self._ages_s, self._rows, self._allowed_s = ages_s, rows, allowed_s

    def collect(self) -> Iterator[Metric]:
        yield _gauge("forebay_view_age_seconds", "Age of a view's rows.", self._ages_s)
        yield _gauge("forebay_view_freshness_seconds", "How old they may be.", self._allowed_s)
        stale = {
            view: float(self._ages_s[view] > allowed)
            for view, allowed in self._allowed_s.items()
            if view in self._ages_s
        }
        yield _gauge("forebay_view_stale", "1 where they are older than that.", stale)
        yield _gauge("forebay_view_rows", "Entities of a view in the online store.", self._rows)


def _gauge(name: str, text: str, by_view: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["view"])
    for view, value in by_view.items():
        family.add_metric([view], value)
    return family
