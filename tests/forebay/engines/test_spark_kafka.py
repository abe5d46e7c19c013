"""A broker's settings in the words of Spark's client."""

from __future__ import annotations

import pytest

from feature_specs.errors import ForebayError
from forebay.engines.spark_kafka import kafka_options


def test_a_password_and_an_authority_are_written_as_java_has_them() -> None:
    found = kafka_options(
        {
            "bootstrap.servers": "b:9092",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "ann",
            "sasl.password": 'a"b\\c',
            "ssl.ca.location": "/etc/ca.pem",
            "session.timeout.ms": "6000",
        }
    )
    login = "org.apache.kafka.common.security.scram.ScramLoginModule"
    assert found == {
        "kafka.bootstrap.servers": "b:9092",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.sasl.jaas.config": f'{login} required username="ann" password="a\\"b\\\\c";',
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.location": "/etc/ca.pem",
    }


def test_what_is_not_known_is_named() -> None:
    with pytest.raises(ForebayError, match=r"'ssl\.key\.location' has no counterpart"):
        kafka_options({"bootstrap.servers": "b:9092", "ssl.key.location": "/k"})
