"""`forebay stream --engine spark`: Spark reads the topics, this process commits what its workers write."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

from feature_specs.errors import SpecError
from feature_specs.stream_options import StreamEntry
from forebay.compilation.stream_sources import chosen_streams
from forebay.dbt_project.project import Project
from forebay.engines.connect_engine import spark_connector
from forebay.engines.spark_kafka import kafka_options
from forebay.events.stream_events import stream_events
from forebay.streaming.attach_views import attach_views
from forebay.streaming.complaints import Complaints
from forebay.streaming.stream import StreamRequest, catch_signals
from forebay.streaming.stream_clock import stream_clock
from forebay.streaming.stream_report import Reporter
from forebay.streaming.table_views import TableViews
from forebay.terminal import complain
from lakehouse.engines.compute_there import RowsOnEngine
from lakehouse.engines.engine_run import EngineRun
from lakehouse.lake import open_lake
from lakehouse.stream.broker import Broker
from lakehouse.stream.feed import Feed
from lakehouse.stream.run import reset_feeds
from lakehouse.stream.topics import Partition


class _Lags:
    """How far behind all feeds are."""

    def __init__(self, feeds: Sequence[Any]) -> None:
        self._feeds = feeds

    def lags(self) -> dict[Partition, int]:
        return {place: behind for feed in self._feeds for place, behind in feed.lags.items()}


def stream_on_spark(project: Project, request: StreamRequest) -> dict[str, Any]:
    """Stream until told to stop; what became of the messages, by source.

    Raises:
        ForebayError: a topic, a table, the broker or Spark is not as it must be, or a source says
            what Spark cannot do; nothing is half written.
    """
    entries = chosen_streams(project, request.sources)
    _refuse(entries)
    options = kafka_options(project.kafka)
    connect_to = spark_connector(project)
    from lakehouse.stream.spark_feed import SparkFeed, run_on_spark

    broker, lake = Broker(project.kafka), open_lake(project.lake)
    feeds = [Feed(entry, lake, broker) for entry in entries]
    reset_feeds(feeds, request.reset)
    with closing(connect_to("stream")) as spark, EngineRun(lake, connect_to) as run:
        running = [SparkFeed(spark, feed, options, request.pace) for feed in feeds]
        views = None
        if not request.events_only:
            clock = stream_clock(project, request.now, request.speed)
            complaints, compute = (
                Complaints(lambda line: complain([line])),
                partial(RowsOnEngine, run),
            )
            views = attach_views(
                project,
                feeds,
                lambda catalog, over: TableViews(
                    project, catalog, over, clock, request.checkpoint, compute, complaints
                ),
            )
        over = () if views is None else views.views
        catalog = None if views is None else views.catalog
        with catch_signals() as stop, stream_events(project, feeds, catalog, over) as events:
            reporter = Reporter(feeds, _Lags(running), views, request.as_json, request.metrics_port)

            def after() -> None:
                if views is not None:
                    views.follow()
                reporter.tell()
                events.go_on()

            try:
                run_on_spark(running, stop, after)
                if views is not None:
                    views.step()
            finally:
                reporter.close()
    return {f.entry.name: asdict(f.counts) for f in feeds}


def _refuse(entries: Sequence[StreamEntry]) -> None:
    """Raise SpecError for what a source says and Spark's workers cannot do."""
    for entry in entries:
        if entry.dedupe_by:
            raise SpecError(
                f"meta.stream.dedupe_by of source {entry.name} needs the keys of all its events at "
                "one place, which a stream on Spark has not",
                where=entry.where,
                hint="leave it out and take the duplicates out in the view, or stream it without "
                "--engine",
            )
        if entry.format == "avro" and not entry.schema:
            raise SpecError(
                f"the messages of source {entry.name} name schemas of a registry, which Spark's "
                "workers do not ask",
                where=entry.where,
                hint="stream it without --engine",
            )
