"""Send messages that are not rows to the dead-letter topic, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import confluent_kafka as kafka

from feature_specs.errors import DataError
from feature_specs.stream_options import StreamEntry
from lakehouse.stream.broker import Broker
from lakehouse.stream.rows import BadRow

_PATIENCE_S = 30.0


class DeadLetters:
    """The dead-letter topic of a source, made when first written to."""

    def __init__(self, entry: StreamEntry, broker: Broker) -> None:
        self._entry, self._broker = entry, broker
        self._producer: Any = None
        self._refused: list[Any] = []

    def send(self, messages: Sequence[Any], bad: Sequence[BadRow]) -> None:
        """Send bad messages on; they are in the topic once this returns.

        Raises:
            DataError: the broker does not take one of them; says why.
        """
        entry = self._entry
        if self._producer is None:
            self._broker.check_topic(entry.dead_letter_topic)
            self._producer = self._broker.producer()
        self._refused.clear()
        for place, reason in bad:
            message = messages[place]
            told = {
                "reason": reason,
                "source": entry.name,
                "topic": entry.topic,
                "partition": str(message.partition()),
                "offset": str(message.offset()),
            }
            headers = [(f"forebay.{name}", text.encode()) for name, text in told.items()]
            self._produce(message, [*(message.headers() or ()), *headers])
        left = self._producer.flush(_PATIENCE_S)
        if self._refused:
            raise self._failed(self._refused[0].str())
        if left:
            raise self._failed(f"the broker took none for {_PATIENCE_S:.0f} seconds")

    def _produce(self, message: Any, headers: list[tuple[str, bytes]]) -> None:
        while True:
            try:
                self._producer.produce(
                    self._entry.dead_letter_topic,
                    message.value(),
                    key=message.key(),
                    headers=headers,
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(0.1)  # its queue is full
            except kafka.KafkaException as error:
                raise self._failed(error.args[0].str()) from None
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._refused.append(error)

    def _failed(self, reason: str) -> DataError:
        return DataError(
            f"messages that are not rows could not be sent on: {reason}",
            where=f"topic {self._entry.dead_letter_topic}",
            hint="check that the broker takes messages there, and as large ones; nothing of this "
            "batch was written",
        )
