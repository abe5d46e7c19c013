"""What a stream process tells: lines on the terminal, metrics for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from feature_specs.catalog import ViewEntry
from forebay.terminal import say
from lakehouse.stream.feed import Feed
from lakehouse.stream.topics import Partition

#: Seconds between lines.
_EVERY_S = 5.0


class Lags(Protocol):
    """Knows how many messages each partition has that were not committed."""

    def lags(self) -> dict[Partition, int]: ...


class SteppedViews(Protocol):
    """Views that follow a stream.

    Attributes:
        at: the instant that the features online are of.
        step_s: what the last step of all views took, in seconds.
    """

    @property
    def views(self) -> Sequence[ViewEntry]: ...
    @property
    def at(self) -> datetime | None: ...
    @property
    def step_s(self) -> float: ...


class Reporter:
    """Tells of each source how many rows were committed, how far behind it is, and how fresh.

    Args:
        quiet: no lines.
        port: where to serve metrics; None for nowhere.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        reader: Lags,
        views: SteppedViews | None = None,
        quiet: bool = False,
        port: int | None = None,
    ) -> None:
        self._feeds, self._reader, self._views, self._quiet = feeds, reader, views, quiet
        self._told_at, self._rows = time.monotonic(), {f.entry.name: 0 for f in feeds}
        self._lags: dict[tuple[str, int], int] = {}
        self._server: Any = None
        if port is not None:
            from prometheus_client import CollectorRegistry, start_http_server

            registry = CollectorRegistry()
            registry.register(self)
            self._server, _ = start_http_server(port, registry=registry)

    def tell(self) -> None:
        """Take note of a round; a line for each source every few seconds."""
        self._lags = self._reader.lags()
        now = time.monotonic()
        if not self._quiet and now - self._told_at >= _EVERY_S:
            self._lines(now - self._told_at)
            self._told_at = now

    def close(self) -> None:
        """Say where each source stands, and stop serving metrics."""
        if not self._quiet:
            self._lines(max(time.monotonic() - self._told_at, 1e-9))
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def collect(self) -> Iterator[Any]:
        """The metrics, for prometheus_client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        counters = {
            "rows": "Events committed.",
            "bad": "Messages that were no rows.",
            "duplicates": "Events left out, since the table had them.",
            "commits": "Commits of events.",
            "overtaken": "Batches dropped, since another process had committed them.",
        }
        for name, told in counters.items():
            counter = CounterMetricFamily(f"forebay_stream_{name}", told, labels=["source"])
            for feed in self._feeds:
                counter.add_metric([feed.entry.name], getattr(feed.counts, name))
            yield counter
        lag = GaugeMetricFamily(
            "forebay_stream_lag", "Messages not committed yet.", labels=["topic", "partition"]
        )
        for (topic, partition), behind in sorted(self._lags.items()):
            lag.add_metric([topic, str(partition)], behind)
        yield lag
        newest = GaugeMetricFamily(
            "forebay_stream_newest_timestamp_seconds",
            "Time of the newest message committed.",
            labels=["source"],
        )
        for feed in self._feeds:
            if feed.counts.newest_ms:
                newest.add_metric([feed.entry.name], feed.counts.newest_ms / 1000)
        yield newest
        if self._views is not None and self._views.at is not None:
            yield GaugeMetricFamily(
                "forebay_stream_views_timestamp_seconds",
                "The instant that the features online are of.",
                value=self._views.at.timestamp(),
            )
            yield GaugeMetricFamily(
                "forebay_stream_step_seconds",
                "What the last step of all views took, the online store's writing included.",
                value=self._views.step_s,
            )

    def _lines(self, seconds: float) -> None:
        for feed in self._feeds:
            name, counts = feed.entry.name, feed.counts
            rate = (counts.rows - self._rows[name]) / seconds
            self._rows[name] = counts.rows
            behind = sum(n for (t, _), n in self._lags.items() if t == feed.entry.topic)
            fresh = ""
            if counts.newest_ms:
                fresh = f", newest {max(time.time() - counts.newest_ms / 1000, 0):.1f} s old"
            bad = f", {counts.bad:,} bad" if counts.bad else ""
            say(
                f"{name}: {counts.rows:,} rows in {counts.commits:,} commits{bad}, "
                f"{rate:,.0f}/s, {behind:,} behind{fresh}"
            )
        if self._views is not None and self._views.at is not None:
            say(
                f"{len(self._views.views)} views at {self._views.at.isoformat()}, "
                f"stepped in {self._views.step_s:.2f} s"
            )
