"""Reading topics from the places that their tables name, as one process of a consumer group.

The group says which partitions are this process's. Where to read on in them the table says, and never
the group: what the group has committed may be older or newer than the table's rows.

The group may deal partitions anew whenever the client is asked for messages, also while a commit waits
for its catalog. So messages carry the count of deals under which they were read (`Taken`), and where
they are read from next is looked up in the tables only at the beginning of a round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import confluent_kafka as kafka

from feature_specs.errors import DataError, ForebayError
from lakehouse.commit import PATIENCE_S
from lakehouse.lake import catalog_errors
from lakehouse.stream.broker import PASSING, Broker
from lakehouse.stream.fence import Fence, Place, digest_of

#: How often the client is asked for what has come, and a catalog or broker that is away.
_LOOK_S, _RETRY_S = 0.02, 0.25
_MOST_AT_ONCE = 10_000

Partition = tuple[str, int]


@dataclass
class Position:
    """Where a partition is read.

    Attributes:
        start: what the table has of it: the next offset; None where it has nothing.
        next: what comes after the messages read so far.
        at_end: the offset at which the partition ended when it was last looked at.
        expected: the digest of the message before ``start``, until it was seen.
    """

    start: int | None
    next: Place
    at_end: int | None = None
    expected: str = ""


@dataclass(frozen=True)
class Taken:
    """Messages of one topic, whole from where each of their partitions was begun.

    Attributes:
        starts: what the table had of these partitions when they were begun: the next offset; None
            where it had nothing.
        dealt: `TopicReader.dealt` when they were read.
    """

    messages: Sequence[Any]
    starts: Mapping[int, int | None]
    dealt: int

    @property
    def ends(self) -> dict[int, Place]:
        """Where to go on in each partition after these messages."""
        last = {m.partition(): m for m in self.messages}
        return {partition: place_after(message) for partition, message in last.items()}


class TopicReader:
    """Reads messages of some topics.

    Args:
        fences: gives what a topic's table has of it.
        topic_ids: of the topics, as the broker had them at the start.

    Attributes:
        dealt: counts how often partitions were dealt to this process, taken from it, or begun anew.
            What was read before it changed is read again, by this process or another.
    """

    def __init__(
        self,
        broker: Broker,
        group: str,
        topic_ids: Mapping[str, str],
        fences: Callable[[str], Fence | None],
    ) -> None:
        self._broker, self._fences = broker, fences
        self.topic_ids = dict(topic_ids)
        self.positions: dict[Partition, Position] = {}
        self.dealt = 0
        self._mine: set[Partition] = set()
        self._begun = True
        self._retry_at, self._give_up_at = 0.0, float("inf")
        self._pending: dict[str, list[Any]] = {topic: [] for topic in topic_ids}
        # Before any has come they may be as large as brokers take by default.
        self._held, self._average = 0, 1 << 20
        self._fault: ForebayError | None = None
        self._consumer = broker.consumer(group)
        self._consumer.subscribe(
            list(topic_ids),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def collect(self, seconds: float, most: int, most_bytes: int) -> dict[str, Taken]:
        """Messages of each topic that come within some time, or until there are enough.

        The same are given again until `settle` or `restart` says what became of them.

        Raises:
            DataError: a topic is gone, or no longer has what comes next.
        """
        deadline = time.monotonic() + seconds
        while True:
            if not self._begun:
                self._begin()
            left = deadline - time.monotonic()
            found = self._consumer.consume(self._room(most_bytes), max(min(left, _LOOK_S), 0))
            for message in found:
                self._take(message)
            sizes = [_size(m) for m in found if m.error() is None]
            if sizes:
                self._average = sum(sizes) // len(sizes)
            if self._fault is not None:
                raise self._fault
            waiting = sum(map(len, self._pending.values()))
            if left <= 0 or waiting >= most or self._held >= most_bytes:
                return {t: self._taken(t, found) for t, found in self._pending.items() if found}

    def keep_alive(self, seconds: float) -> None:
        """Wait without leaving the group and without taking more messages.

        Partitions may be dealt anew meanwhile, which `dealt` tells.
        """
        held = self._consumer.assignment()
        self._consumer.pause(held)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for message in self._consumer.consume(1, min(left, _LOOK_S)):
                self._take(message)
        self._consumer.resume([p for p in self._consumer.assignment() if p in held])

    def owns(self, topic: str, partition: int) -> bool:
        """Whether a partition is this process's."""
        return (topic, partition) in self._mine

    def settle(self, topic: str, taken: Taken) -> None:
        """The table has these messages.

        Where partitions were dealt anew since they were read, they are begun from the table anyway.
        """
        if taken.dealt != self.dealt:
            return
        ends = taken.ends
        for partition, place in ends.items():
            self.positions[topic, partition].start = place.offset
        self._forget(topic, {p: place.offset for p, place in ends.items()})
        offsets = [kafka.TopicPartition(topic, p, at.offset) for p, at in ends.items()]
        # For tools that show a group's lag; nobody reads on from there.
        with suppress(kafka.KafkaException):
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def restart(self) -> None:
        """Drop what was read, and read on from where the tables are by then."""
        self._deal(self._mine)
        self._consumer.assign([])

    def caught_up(self) -> bool:
        """Whether each partition of this process was read to its end."""
        return (
            bool(self._mine)
            and self._begun
            and all(
                at.at_end is not None and at.next.offset >= at.at_end
                for at in self.positions.values()
            )
        )

    def lags(self) -> dict[Partition, int]:
        """How many messages each partition has that were not committed, as far as is known."""
        out = {}
        for (topic, partition), at in self.positions.items():
            place = kafka.TopicPartition(topic, partition)
            try:
                _, end = self._consumer.get_watermark_offsets(place, cached=True)
            except kafka.KafkaException:
                continue
            if end >= 0:
                out[topic, partition] = max(end - (at.start or 0), 0)
        return out

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _take(self, message: Any) -> None:
        error, topic, partition = message.error(), message.topic(), message.partition()
        if error is None:
            position = self.positions.get((topic, partition))
            if position is None:
                return  # from before the partition was taken away
            if message.offset() < position.next.offset:
                self._compare(position, message)
                return
            position.expected = ""
            position.next = Place(message.offset() + 1, message.leader_epoch())
            position.at_end = None
            self._pending[topic].append(message)
            self._held += _size(message)
        elif error.code() == kafka.KafkaError._PARTITION_EOF:
            position = self.positions.get((topic, partition))
            if position is not None:
                # Past the last message there may be marks of transactions.
                position.at_end = message.offset()
                if message.offset() > position.next.offset:
                    position.next = replace(position.next, offset=message.offset(), last="")
        elif error.code() not in PASSING:
            self._fault = self._explain(error, str(topic), int(partition or 0)) or self._fault

    def _compare(self, position: Position, message: Any) -> None:
        """Whether the last message that the table has is still the one that the log has there."""
        if position.expected and message.offset() == position.next.offset - 1:
            if digest(message) != position.expected:
                topic, partition = str(message.topic()), int(message.partition())
                self._fault = cut_off(topic, partition, position.next.offset)
            position.expected = ""

    def _explain(self, error: Any, topic: str, partition: int) -> ForebayError | None:
        """What is wrong; None of a partition that was taken away meanwhile."""
        lost = (
            kafka.KafkaError._AUTO_OFFSET_RESET,
            kafka.KafkaError.OFFSET_OUT_OF_RANGE,
            kafka.KafkaError._LOG_TRUNCATION,
        )
        if error.code() not in lost or topic not in self.topic_ids:
            return self._broker.explain(error, topic)
        if self._broker.topic_ids([topic])[topic] != self.topic_ids[topic]:
            return created_anew(topic)
        position = self.positions.get((topic, partition))
        if position is None:
            return None
        place = kafka.TopicPartition(topic, partition)
        first, _ = self._consumer.get_watermark_offsets(place, timeout=10)
        if position.next.offset < first:
            return messages_lost(topic, partition, position.next.offset, first)
        return cut_off(topic, partition, position.next.offset)

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        self._deal({(p.topic, p.partition) for p in partitions})
        # What the tables have of them may still change in the commit that this was served in.
        consumer.assign([])

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        """Whoever has them next reads on from what the table has."""
        self._deal(set())
        consumer.unassign()

    def _deal(self, mine: set[Partition]) -> None:
        """Forget what was read: these partitions are begun at the next round."""
        self.dealt += 1
        self._mine, self._begun = set(mine), not mine
        self._retry_at, self._give_up_at = 0.0, time.monotonic() + PATIENCE_S
        self.positions.clear()
        for topic in self._pending:
            self._forget(topic)

    def _begin(self) -> None:
        """Begin this process's partitions where the tables are; later, if somebody is away."""
        if time.monotonic() < self._retry_at:
            return
        wanted: dict[str, list[int]] = {}
        for topic, partition in sorted(self._mine):
            wanted.setdefault(topic, []).append(partition)
        try:
            places = [p for topic, mine in wanted.items() for p in self._places(topic, mine)]
        except kafka.KafkaException as error:
            if error.args[0].code() not in PASSING:
                raise self._broker.explain(error.args[0], next(iter(wanted))) from None
        except catalog_errors():
            if time.monotonic() > self._give_up_at:
                raise
        else:
            self._consumer.assign(places)
            # One that was taken away while it was paused comes back paused.
            self._consumer.resume(places)
            self._begun = True
            return
        self.positions.clear()
        self._retry_at = time.monotonic() + _RETRY_S

    def _room(self, most_bytes: int) -> int:
        """How many messages may come at once, by the size of the last ones."""
        return min(max((most_bytes - self._held) // self._average, 1), _MOST_AT_ONCE)

    def _taken(self, topic: str, messages: Sequence[Any]) -> Taken:
        starts = {m.partition(): self.positions[topic, m.partition()].start for m in messages}
        return Taken(list(messages), starts, self.dealt)

    def _places(self, topic: str, partitions: list[int]) -> list[Any]:
        fence = self._fences(topic)
        out = []
        for number in partitions:
            known = None if fence is None else fence.places.get(number)
            if known is None:
                place = kafka.TopicPartition(topic, number)
                first, _ = self._consumer.get_watermark_offsets(place, timeout=10)
                self.positions[topic, number] = Position(None, Place(first))
                out.append(kafka.TopicPartition(topic, number, first))
                continue
            position = self.positions[topic, number] = Position(known.offset, known)
            if known.last:
                place = kafka.TopicPartition(topic, number)
                first, end = self._consumer.get_watermark_offsets(place, timeout=10)
                if first < known.offset <= end:
                    position.expected = known.last
                    known = replace(known, offset=known.offset - 1)
            out.append(_as_of_client(topic, number, known))
        return out

    def _forget(self, topic: str, before: Mapping[int, int] | None = None) -> None:
        """Drop messages that were read of a topic; of given partitions those before an offset."""
        kept = []
        for message in self._pending[topic]:
            if before is None or message.offset() < before.get(message.partition(), 0):
                self._held -= _size(message)
            else:
                kept.append(message)
        self._pending[topic] = kept


def _size(message: Any) -> int:
    return len(message.value() or b"") + 100


def place_after(message: Any) -> Place:
    """Where to resume after a message."""
    return Place(message.offset() + 1, message.leader_epoch(), digest(message))


def digest(message: Any) -> str:
    """What tells a message from another one at its offset."""
    return digest_of(message.timestamp(), message.key(), message.value())


def _as_of_client(topic: str, partition: int, place: Place) -> Any:
    """A place with its epoch, by which the broker notices that its log is another one since."""
    if place.epoch is None:
        return kafka.TopicPartition(topic, partition, place.offset)
    return kafka.TopicPartition(topic, partition, place.offset, leader_epoch=place.epoch)


def messages_lost(topic: str, partition: int, offset: int, first: int) -> DataError:
    """The broker has deleted messages, from an offset up to the first that it has, before they were read."""
    return DataError(
        f"partition {partition} of topic {topic!r} was read up to offset {offset}, and the broker "
        f"has deleted what came before {first}: {first - offset:,} messages are lost",
        where=f"topic {topic}",
        hint="`forebay stream SOURCE --reset earliest` goes on with what is left; let the "
        "topic keep its messages for longer than the stream may stand still",
    )


def cut_off(topic: str, partition: int, offset: int) -> DataError:
    """A partition's log is no longer the one that was read up to an offset."""
    return DataError(
        f"partition {partition} of topic {topic!r} was read up to offset {offset}, and its log is "
        "another one since: it was cut off there or before, or rewound",
        where=f"topic {topic}",
        hint="`forebay stream SOURCE --reset earliest` reads the topic from its beginning, "
        "beside the rows that are there; `--reset latest` what comes from now on; "
        f"`--reset {partition}:OFFSET` from an offset",
    )


def created_anew(topic: str) -> DataError:
    """A topic that is another one than at the start."""
    return DataError(
        f"topic {topic!r} was deleted or re-created while it was read",
        where=f"topic {topic}",
        hint="start the stream again: it says how to go on; nothing of the new topic was written",
    )
