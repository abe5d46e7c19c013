"""`forebay replay flights`: a month of flights through a broker, with the features changing on screen."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from feature_specs.errors import ForebayError
from feature_specs.instants import parse_instant
from feature_specs.quote import literal, quoted
from forebay.compilation.stream_sources import chosen_streams
from forebay.dbt_project.project import Project
from forebay.example_flights.flights_tables import TABLES
from forebay.example_flights.ingest_flights import flights_folder, ingest_flights
from forebay.streaming.stream import StreamRequest, run_stream
from forebay.streaming.stream_views import StreamViews
from forebay.terminal import say, table
from lakehouse.commit import commit_rows
from lakehouse.lake import open_lake
from lakehouse.stream.broker import Broker

SOURCE = "nyc.flights"
#: The entities to look at: busy ones, with what is told of them.
_WATCHED = (
    ("carrier_arrivals", {"carrier": "DL"}),
    ("origin_departures", {"origin": "JFK"}),
    ("route_history", {"origin": "JFK", "dest": "LAX"}),
    ("aircraft_last_flight", {"tailnum": "N327AA"}),
)
_COLUMNS = 4
#: Rounds of the stream after the last flight was sent.
_LAST_ROUNDS = 4


@dataclass(frozen=True)
class ReplayRequest:
    """What to play: from when, for how long, and how many times as fast as it was."""

    start: str = "2013-11-01T00:00:00Z"
    days: float = 30.0
    speed: float = 3600.0
    every: float = 0.5


def replay_flights(project: Project, request: ReplayRequest) -> dict[str, Any]:
    """Load the flights before a month, then play it into a broker and stream it back.

    A flight is sent when it was to leave; what became of it reads as null until then, as the
    example's sources declare.

    Returns the stream's counts.

    Raises:
        ForebayError: the project is not the flights example with a topic, or its broker is away.
    """
    begin = parse_instant(request.start, where="--from")
    end = begin + timedelta(days=request.days)
    (entry,) = chosen_streams(project, [SOURCE])
    broker = Broker(project.kafka)
    rows = _split(project, begin, end)
    broker.check_topic(entry.topic)
    said = timedelta(seconds=(end - begin).total_seconds() / request.speed)
    say(
        f"{rows.num_rows:,} flights of {request.days:g} days into topic {entry.topic}, "
        f"{request.speed:g} times as fast: about {said.total_seconds():.0f} s"
    )
    playing = _Playing(broker.producer(), entry.topic, rows, end)
    try:
        return run_stream(
            project,
            StreamRequest(
                [SOURCE],
                every=request.every,
                # The new flights: what an earlier replay has sent is in the topic, and not theirs.
                reset="latest",
                now=begin.isoformat(),
                speed=request.speed,
                checkpoint=3600.0,
            ),
            watch=playing.watch,
        )
    finally:
        playing.stop.set()


def _split(project: Project, begin: datetime, end: datetime) -> pa.Table:
    """Leave in the lake what was to leave before; the flights to play, by when they were to leave."""
    lake = open_lake(project.lake)
    ingest_flights(lake)
    spec = next(t for t in TABLES if t.name == "flights")
    rows = spec.read(flights_folder()).sort_by("scheduled_at")
    at = rows.column("scheduled_at")
    before = rows.filter(pc.less(at, pa.scalar(begin, at.type)))
    commit_rows(lake, SOURCE, before, mode="replace")
    within = pc.and_(
        pc.greater_equal(at, pa.scalar(begin, at.type)), pc.less(at, pa.scalar(end, at.type))
    )
    return rows.filter(within)


class _Playing:
    """Sends the flights as the stream's clock comes to them, and shows what that changes."""

    def __init__(self, producer: Any, topic: str, rows: pa.Table, end: datetime) -> None:
        self.stop = threading.Event()
        self._producer, self._topic, self._end = producer, topic, end
        self._rows = _in_order(rows)
        self._next = next(self._rows, None)
        self._told_at: datetime | None = None
        self._sent = self._rounds = 0

    def watch(self, views: StreamViews | None) -> bool:
        """Go on to the stream's present; False once all was sent and is shown."""
        if views is None or views.at is None:
            return True
        at = views.at
        # What was sent last takes a round to be read, and one to be committed.
        self._rounds = self._rounds + 1 if self._next is None else 0
        while self._next is not None and self._next[0] <= at:
            self._producer.produce(self._topic, self._next[1])
            self._sent += 1
            if self._sent % 1000 == 0:
                self._producer.poll(0)
            self._next = next(self._rows, None)
        self._producer.flush(30)
        if self._told_at is None or at - self._told_at >= timedelta(hours=6):
            self._told_at = at
            say(f"\n{at:%a %d %b %Y %H:%M} UTC, {self._sent:,} flights sent")
            say(table([line for v, k in _WATCHED for line in _features(views, v, k)]))
        return at < self._end or self._rounds < _LAST_ROUNDS


def _in_order(rows: pa.Table) -> Iterator[tuple[datetime, bytes]]:
    for batch in rows.to_batches(max_chunksize=2_000):
        for row in batch.to_pylist():
            told = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}
            yield row["scheduled_at"], json.dumps(told).encode()


def _features(views: StreamViews, view: str, key: dict[str, str]) -> Iterator[tuple[str, ...]]:
    held = views.held(view)
    if held is None:
        return
    where = " and ".join(f"{quoted(k)} = {literal(v)}" for k, v in key.items())
    found = held.connection.execute(f"select * from {held.relation} where {where}")
    names = [column[0] for column in found.description or ()]
    for row in found.fetchall():
        values = [(n, v) for n, v in zip(names, row, strict=True) if n not in key]
        shown = [f"{n}={v:.1f}" if isinstance(v, float) else f"{n}={v}" for n, v in values]
        padded = [*shown[:_COLUMNS], *[""] * (_COLUMNS - len(shown))]
        yield (view, "/".join(key.values()), *padded)


def parse_speed(text: str) -> float:
    """How many times as fast: ``3600x``.

    Raises:
        ForebayError: it is not such a number.
    """
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0
    if not 0 < speed <= 1e6:
        raise ForebayError(
            f"{text!r} is not a speed", where="--speed", hint="write how many times as fast: 3600x"
        )
    return speed
