"""Apache Kafka 4.4, one node in KRaft mode. Needs JDK 17 and Maven."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.servers.maven import fetch_jars
from tests.servers.process import ServerError, find_jdk, free_port, listens, start, stop, wait_until

_HERE = Path(__file__).parent
_JVM = ("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class KafkaServer:
    """One broker on loopback, which keeps its port and its data when it is started again.

    Attributes:
        folder: where its data are; a topic's partition is ``data/<topic>-<partition>`` in it.
        address: for ``bootstrap.servers``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._jars = fetch_jars("kafka", _HERE / "pom.xml")
        self._java = str(find_jdk(17) / "bin" / "java")
        settings = folder / "server.properties"
        settings.write_text("".join(f"{k}={v}\n" for k, v in self._settings().items()))
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._run("kafka.tools.StorageTool", "format", "-t", name, "-c", str(settings))

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServerError: it does not start.
        """
        command = [self._java, *_JVM, "-cp", f"{self._jars}/*", "kafka.Kafka"]
        self._process = start([*command, str(self.folder / "server.properties")], self.folder)
        wait_until(lambda: listens(self.port) and self._answers(), self._process, self.folder)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ValueError("the server was not started")
        return self._process.pid

    def stop(self) -> None:
        """End it politely, so that its logs are whole."""
        if self._process is not None:
            stop(self._process)

    def kill(self) -> None:
        """End it at once, as a machine that fails would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def create(self, topic: str, partitions: int = 1, **config: str) -> None:
        """Make a topic, and wait until it is there."""
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self.admin.create_topics([new])[topic].result(30)
        _wait(lambda: topic in self.admin.list_topics(timeout=10).topics)

    def delete(self, topic: str) -> None:
        """Delete a topic, and wait until it is gone."""
        self.admin.delete_topics([topic], operation_timeout=30)[topic].result(30)
        _wait(lambda: topic not in self.admin.list_topics(timeout=10).topics)

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        partition: int = 0,
        producer: Any = None,
    ) -> None:
        """Write messages to one partition, and wait until the broker has all of them."""
        sender = producer or self.producer()
        for value in values:
            while True:
                try:
                    sender.produce(topic, value, partition=partition)
                    break
                except BufferError:
                    sender.poll(0.1)
        if sender.flush(60):
            raise ServerError("messages were not delivered")

    def producer(self, **config: Any) -> Any:
        return Producer({"bootstrap.servers": self.address, "linger.ms": 5, **config})

    def read_all(self, topic: str, partition: int = 0) -> list[Any]:
        """All messages of one partition that are there now."""
        given = {"bootstrap.servers": self.address, "group.id": f"test-{uuid.uuid4()}"}
        reader = Consumer({**given, "enable.auto.commit": False})
        try:
            place = TopicPartition(topic, partition, 0)
            first, last = reader.get_watermark_offsets(place, timeout=10)
            reader.assign([TopicPartition(topic, partition, first)])
            found: list[Any] = []
            while len(found) < last - first:
                found += [m for m in reader.consume(500, timeout=5) if m.error() is None]
            return found
        finally:
            reader.close()

    @cached_property
    def admin(self) -> Any:
        return AdminClient({"bootstrap.servers": self.address})

    def _answers(self) -> bool:
        try:
            self.admin.list_topics(timeout=2)
        except KafkaException as error:
            if error.args[0].code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
                return False
            raise
        return True

    def _run(self, *words: str) -> None:
        command = [self._java, "-XX:TieredStopAtLevel=1", "-cp", f"{self._jars}/*", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(f"{words[0]} failed: {(done.stdout + done.stderr)[-2000:]}")

    def _settings(self) -> Mapping[str, object]:
        controller = free_port()
        inner = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
            "num.partitions": 1,
            **{f"{name}.replication.factor": 1 for name in inner},
            **{f"{name}.num.partitions": 1 for name in inner},
            **{f"{name}.min.isr": 1 for name in inner[1:]},
        }


def _wait(ready: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise ServerError("the broker does not get there")
        time.sleep(0.05)


@contextmanager
def kafka_server() -> Iterator[KafkaServer]:
    """A Kafka in a folder of its own, stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="forebay-kafka-"))
    server = KafkaServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()  # its data goes with it
        shutil.rmtree(folder, ignore_errors=True)
