"""The Kafka broker: its clients, its topics, and what its errors mean to a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feature_specs.errors import DataError, ForebayError

try:
    import confluent_kafka as kafka
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic
except ImportError:
    raise ForebayError(
        "the Kafka client is not installed",
        where="confluent-kafka",
        hint="run `pip install 'forebay[kafka]'`",
    ) from None

_ANSWER_S = 10.0
_PROFILE = "profiles.yml, kafka of the forebay plugin's config"

#: Errors after which the client goes on by itself.
PASSING = frozenset(
    {
        kafka.KafkaError._ALL_BROKERS_DOWN,
        kafka.KafkaError._TRANSPORT,
        kafka.KafkaError._RESOLVE,
        kafka.KafkaError._TIMED_OUT,
        kafka.KafkaError._MAX_POLL_EXCEEDED,
        kafka.KafkaError.LEADER_NOT_AVAILABLE,
        kafka.KafkaError.NOT_LEADER_FOR_PARTITION,
        kafka.KafkaError.COORDINATOR_NOT_AVAILABLE,
        kafka.KafkaError.NOT_COORDINATOR,
    }
)

#: What says that a topic is not there.
_GONE = (
    kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
    kafka.KafkaError._UNKNOWN_TOPIC,
    kafka.KafkaError._UNKNOWN_PARTITION,
)


class BrokerDownError(DataError):
    """The broker does not answer; it may again later."""


class Broker:
    """The broker of a profile.

    Args:
        config: librdkafka's own settings, ``bootstrap.servers`` and credentials among them.
    """

    def __init__(self, config: Mapping[str, str]) -> None:
        self.config = dict(config)
        try:
            self._admin = AdminClient(self._of_client())
        except kafka.KafkaException as error:
            raise _refused(error) from None

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """The id of each topic, which the broker assigns when it creates one.

        Raises:
            ForebayError: the broker does not answer, or has no such topic.
        """
        asked = self._admin.describe_topics(
            kafka.TopicCollection(list(topics)), request_timeout=_ANSWER_S
        )
        found = {}
        for topic in topics:
            try:
                found[topic] = str(asked[topic].result().topic_id)
            except kafka.KafkaException as error:
                raise self.explain(error.args[0], topic) from None
        return found

    def partitions(self, topic: str) -> list[int]:
        """Numbers of a topic's partitions."""
        try:
            found = self._admin.list_topics(topic, timeout=_ANSWER_S).topics[topic]
        except kafka.KafkaException as error:
            raise self.explain(error.args[0], topic) from None
        if found.error is not None:
            raise self.explain(found.error, topic)
        return sorted(found.partitions)

    def check_topic(self, topic: str) -> None:
        """Create a topic with one partition unless it exists."""
        if topic in self._admin.list_topics(timeout=_ANSWER_S).topics:
            return
        asked = self._admin.create_topics([NewTopic(topic, num_partitions=1)])[topic]
        try:
            asked.result(_ANSWER_S)
        except kafka.KafkaException as error:
            if error.args[0].code() != kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                raise self.explain(error.args[0], topic) from None

    def consumer(self, group: str, **more: Any) -> Any:
        """A consumer in a group, which neither commits offsets nor chooses them by itself."""
        given = {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 16_384,
            "fetch.max.bytes": 8_388_608,
            "fetch.wait.max.ms": 50,
            # How long the partitions of a process that was killed stand still.
            "session.timeout.ms": 10_000,
            "reconnect.backoff.max.ms": 1_000,
            "partition.assignment.strategy": "range",
        }
        try:
            return kafka.Consumer({**given, **self._of_client(), **more})
        except kafka.KafkaException as error:
            raise _refused(error) from None

    def producer(self) -> Any:
        """A producer whose messages are durable once they are flushed."""
        safe = {"acks": "all", "enable.idempotence": True}
        # How large a message may be the broker says, not its client.
        return kafka.Producer({"message.max.bytes": 10**9, **self._of_client(), **safe})

    def explain(self, error: Any, topic: str) -> ForebayError:
        """What one of the client's errors means."""
        servers = self.config["bootstrap.servers"]
        if error.code() in _GONE:
            return DataError(
                f"the broker at {servers} has no topic {topic!r}",
                where=f"topic {topic}",
                hint="create it, or correct `meta: {stream: {topic: ...}}` of the source",
            )
        if error.code() in PASSING:
            return BrokerDownError(
                f"the broker at {servers} does not answer: {error.str()}",
                where=_PROFILE,
                hint="start it, or correct bootstrap.servers",
            )
        return DataError(
            f"the broker at {servers} says: {error.str()}",
            where=f"topic {topic}",
            hint=f"check the topic, and the credentials in {_PROFILE}",
        )

    def _of_client(self) -> dict[str, Any]:
        own = {
            key: value
            for key, value in self.config.items()
            if key != "group.id" and not key.startswith("schema.registry.")
        }
        # What it would print by itself of a broker that is away is told by its errors.
        return {"log_level": 0, **own}


def _refused(error: Any) -> ForebayError:
    return ForebayError(
        f"the Kafka client refuses its settings: {error.args[0].str()}",
        where=_PROFILE,
        hint="its keys are librdkafka's, such as bootstrap.servers or security.protocol",
    )
