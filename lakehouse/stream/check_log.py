"""Check that a topic's log is still the one that a table was read from."""

from __future__ import annotations

import confluent_kafka as kafka

from lakehouse.stream.broker import PASSING, Broker
from lakehouse.stream.fence import Fence
from lakehouse.stream.topics import cut_off, digest, messages_lost

#: How long the broker may take to give the last messages, in seconds.
_ANSWER_S = 30.0


def check_log(broker: Broker, fence: Fence) -> None:
    """Compare where each partition was read to, and the last message there, with the broker's log.

    Raises:
        DataError: messages were deleted before they were read, or the log is another one since.
    """
    topic, expected = fence.topic, dict[int, tuple[int, str]]()
    consumer = broker.consumer("forebay-looks")
    try:
        for partition, place in fence.places.items():
            first, end = consumer.get_watermark_offsets(
                kafka.TopicPartition(topic, partition), timeout=10
            )
            if place.offset < first:
                raise messages_lost(topic, partition, place.offset, first)
            if place.offset > end:
                raise cut_off(topic, partition, place.offset)
            if place.last and place.offset > first:
                expected[partition] = place.offset, place.last
        consumer.assign(
            [kafka.TopicPartition(topic, p, offset - 1) for p, (offset, _) in expected.items()]
        )
        while expected:
            found = consumer.consume(1, timeout=_ANSWER_S)
            if not found:
                raise broker.explain(kafka.KafkaError(kafka.KafkaError._TIMED_OUT), topic)
            (message,) = found
            error = message.error()
            if error is not None and error.code() in PASSING:
                continue
            if error is not None and error.code() != kafka.KafkaError._PARTITION_EOF:
                raise broker.explain(error, topic)
            offset, last = expected.pop(message.partition(), (-1, ""))
            # Where the topic was compacted, the message may be gone, and a later one comes.
            if error is None and message.offset() == offset - 1 and digest(message) != last:
                raise cut_off(topic, message.partition(), offset)
    finally:
        consumer.close()
