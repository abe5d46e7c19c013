"""`forebay stream`: events of topics into Iceberg, until it is told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from types import FrameType
from typing import Any

from feature_specs.stream_options import StreamEntry
from forebay.compilation.stream_sources import chosen_streams
from forebay.dbt_project.project import Project
from forebay.events.stream_events import stream_events
from forebay.streaming.attach_views import attach_views
from forebay.streaming.complaints import Complaints
from forebay.streaming.stream_clock import stream_clock
from forebay.streaming.stream_report import Reporter
from forebay.streaming.stream_upkeep import StreamUpkeep
from forebay.streaming.stream_views import StreamViews
from forebay.terminal import complain as complain_of
from forebay.terminal import say
from lakehouse.lake import find_table, open_lake
from lakehouse.stream.broker import Broker
from lakehouse.stream.feed import Feed
from lakehouse.stream.run import Cycle, Pace, leads, open_reader, run_feeds
from lakehouse.stream.topics import Taken


@dataclass(frozen=True)
class StreamRequest:
    """What the command was asked for; its options by their names."""

    sources: Sequence[str]
    every: float = 1.0
    once: bool = False
    until_caught_up: bool = False
    reset: str | None = None
    dry_run: bool = False
    metrics_port: int | None = None
    as_json: bool = False
    events_only: bool = False
    checkpoint: float = 60.0
    now: str | None = None
    speed: float = 1.0
    upkeep: float = 60.0

    @property
    def pace(self) -> Pace:
        """How long to collect between commits, and when to end."""
        return Pace(self.every, self.once, self.until_caught_up)


def run_stream(
    project: Project,
    request: StreamRequest,
    watch: Callable[[StreamViews | None], bool] = lambda views: True,
) -> dict[str, Any]:
    """Stream until told to stop; what became of the messages, by source.

    Args:
        watch: called after each round; False ends the stream.

    Raises:
        ForebayError: a topic, a table or the broker is not as it must be; nothing is half written.
    """
    entries = chosen_streams(project, request.sources)
    broker, lake = Broker(project.kafka), open_lake(project.lake)
    feeds = [Feed(entry, lake, broker) for entry in entries]
    if request.dry_run:
        return _look(project, feeds, request)
    clock = stream_clock(project, request.now, request.speed)
    views = None
    if not request.events_only:
        complaints = Complaints(_complain)
        views = attach_views(
            project,
            feeds,
            lambda catalog, over: StreamViews(
                project, catalog, over, clock, request.checkpoint, complaints
            ),
        )
    over = () if views is None else views.views
    catalog = None if views is None else views.catalog
    with catch_signals() as stop, stream_events(project, feeds, catalog, over) as events:
        reader = open_reader(feeds, group_of(project, entries), request.reset)
        reporter = Reporter(feeds, reader, views, request.as_json, request.metrics_port)
        upkeep = _upkeep(project, feeds, views, request, clock)

        def after(cycle: Cycle) -> None:
            leading = leads(feeds, reader)
            if views is not None:
                views.follow(cycle.added, leading, save=not upkeep.running)
            upkeep.go_on(leading and not (views is not None and views.saving))
            reporter.tell()
            events.go_on()
            if not watch(views):
                stop.set()

        try:
            run_feeds(feeds, reader, request.pace, stop, after)
        finally:
            reader.close()
            reporter.close()
            upkeep.close()
            if views is not None:
                views.close()
    return {f.entry.name: asdict(f.counts) for f in feeds}


def _upkeep(
    project: Project,
    feeds: Sequence[Feed],
    views: StreamViews | None,
    request: StreamRequest,
    clock: Callable[[], datetime],
) -> StreamUpkeep:
    """What looks after the streamed tables, and the tables of the views that are stepped."""
    lake = open_lake(project.lake)
    over = () if views is None else views.views
    named = [f.entry.table for f in feeds]
    made = {name for view in over for name in (view.table, view.history_table)}
    built = sorted(name for name in made if find_table(lake, name) is not None)
    tell = (lambda line: None) if request.as_json else say
    return StreamUpkeep(project, [*named, *built], request.upkeep * 60, clock, tell, _complain)


def group_of(project: Project, entries: Sequence[StreamEntry]) -> str:
    """The consumer group: the profile's ``group.id``, else one for the project and its sources."""
    given = project.kafka.get("group.id")
    name = project.settings.get("name")
    return given or f"forebay-{name}-{'-'.join(sorted(e.name for e in entries))}"[:200]


@contextmanager
def catch_signals() -> Iterator[threading.Event]:
    """What SIGTERM and ctrl-C set, so that the present round ends; a second one ends at once."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {n: signal.signal(n, handle) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _look(project: Project, feeds: Sequence[Feed], request: StreamRequest) -> dict[str, Any]:
    """Read what there is, up to one batch a topic, and write nothing."""
    reader = open_reader(feeds, f"{group_of(project, [f.entry for f in feeds])}-dry-run")
    try:
        found: dict[str, Taken] = {}
        for _ in range(600):
            found = reader.collect(0.1, 10_000, 16 << 20)
            if reader.caught_up() or sum(len(t.messages) for t in found.values()) >= 10_000:
                break
    finally:
        reader.close()
    out = {}
    for feed in feeds:
        taken = found.get(feed.entry.topic)
        messages = () if taken is None else taken.messages
        read = feed.read(messages)
        reasons = [
            {
                "partition": messages[b.place].partition(),
                "offset": messages[b.place].offset(),
                "reason": b.reason,
            }
            for b in read.bad[:10]
        ]
        out[feed.entry.name] = {
            "table": feed.entry.table,
            "topic": feed.entry.topic,
            "messages": len(messages),
            "rows": read.rows.num_rows,
            "bad": len(read.bad),
            "reasons": reasons,
        }
        if not request.as_json:
            say(
                f"{feed.entry.name}: {len(messages):,} messages read of {feed.entry.topic}: "
                f"{read.rows.num_rows:,} rows for {feed.entry.table}, {len(read.bad):,} bad"
            )
            for told in reasons:
                say(f"  partition {told['partition']}, {told['offset']}: {told['reason']}")
    return out


def _complain(line: str) -> None:
    complain_of([line])
