"""A profile's broker in the words of Spark's Kafka source, whose client is Java's."""

from __future__ import annotations

from collections.abc import Mapping

from feature_specs.errors import ForebayError

_PLACE = "profiles.yml, kafka of the forebay plugin's config"
#: Settings that are named alike and take the same values.
_ALIKE = ("bootstrap.servers", "security.protocol", "client.id", "client.rack")
#: Settings of a consumer group's membership: Spark shares partitions among its workers by itself.
_OF_GROUPS = {"group.id", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"}
_JAAS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_SASL = ("sasl.username", "sasl.password")
_CA = "ssl.ca.location"
#: Of a schema registry, which is not part of the broker.
_REGISTRY = "schema.registry."


def kafka_options(config: Mapping[str, str]) -> dict[str, str]:
    """Options of Spark's Kafka source for librdkafka's settings.

    Raises:
        ForebayError: one has no counterpart that is known here; names it.

    >>> kafka_options({"bootstrap.servers": "b:9092", "group.id": "g"})
    {'kafka.bootstrap.servers': 'b:9092'}
    """
    found: dict[str, str] = {}
    for key, value in config.items():
        if key in _OF_GROUPS or key in _SASL or key.startswith(_REGISTRY):
            continue
        if key in _ALIKE:
            found[key] = value
        elif key in ("sasl.mechanism", "sasl.mechanisms") and value in _JAAS:
            found["sasl.mechanism"] = value
            found["sasl.jaas.config"] = _jaas(value, config)
        elif key == _CA:
            found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": value}
        else:
            raise ForebayError(
                f"{key!r} has no counterpart for Spark's Kafka client"
                + (f" as {value!r}" if key.startswith("sasl.mechanism") else ""),
                where=_PLACE,
                hint="take it out, or stream without --engine; known are "
                + ", ".join((*_ALIKE, "sasl.mechanism", *_SASL, _CA)),
            )
    return {f"kafka.{key}": value for key, value in found.items()}


def _jaas(mechanism: str, config: Mapping[str, str]) -> str:
    user, password = (
        config.get(key, "").replace("\\", "\\\\").replace('"', '\\"') for key in _SASL
    )
    return f'{_JAAS[mechanism]} required username="{user}" password="{password}";'
