"""Apache Cassandra 5.0, which speaks for ScyllaDB: same CQL, same driver. Needs JDK 17 and Maven."""

from __future__ import annotations

import itertools
import json
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)

from tests.servers.maven import fetch_jars
from tests.servers.process import find_jdk, free_port, listens, start, wait_until

_HERE = Path(__file__).parent
_SMALL = ("-Xms256m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LARGE = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")


@dataclass(frozen=True)
class Tls:
    """Encrypted connections, of clients with a certificate alone.

    Attributes:
        server, client: files of a certificate and its key, in PEM; each is its own authority.
    """

    server: tuple[Path, Path]
    client: tuple[Path, Path]

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.server[0]))
        context.load_cert_chain(*self.client)
        return context

    def settings(self, folder: Path) -> dict[str, object]:
        """The server's settings. Java reads no PEM files, but stores of keys."""
        certificate = x509.load_pem_x509_certificate(self.server[0].read_bytes())
        key = load_pem_private_key(self.server[1].read_bytes(), None)
        word = b"changeit"
        kept = pkcs12.serialize_key_and_certificates(
            b"server", cast("Any", key), certificate, None, BestAvailableEncryption(word)
        )
        (folder / "keys.p12").write_bytes(kept)
        client = x509.load_pem_x509_certificate(self.client[0].read_bytes())
        trusted = pkcs12.serialize_java_truststore(
            [pkcs12.PKCS12Certificate(client, b"client")], BestAvailableEncryption(word)
        )
        (folder / "trusted.p12").write_bytes(trusted)
        return {
            "client_encryption_options": {
                "enabled": True,
                "optional": False,
                "require_client_auth": True,
                "store_type": "PKCS12",
                "keystore": str(folder / "keys.p12"),
                "keystore_password": word.decode(),
                "truststore": str(folder / "trusted.p12"),
                "truststore_password": word.decode(),
            }
        }


class CassandraServer:
    """One node on loopback, which keeps its port and its data when it is started again.

    Attributes:
        port: of CQL.
        pid: of the server's process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        large: bool,
        authenticated: bool,
        requests: int | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._folder = folder
        self._requests, self._tls = requests, tls
        self._heap = _LARGE if large else _SMALL
        self._authenticated = authenticated
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "cassandra.yaml").write_text(json.dumps(self._settings(authenticated)))

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            ServerError: it does not start.
        """
        jars = fetch_jars("cassandra", _HERE / "pom.xml")
        command = [
            str(find_jdk(17) / "bin" / "java"),
            f"@{_HERE / 'jvm.options'}",
            *self._heap,
            f"-Dcassandra.jmx.local.port={free_port()}",
            f"-Dcassandra.config=file://{self._folder / 'cassandra.yaml'}",
            f"-Dlogback.configurationFile=file://{_HERE / 'logback.xml'}",
            f"-Dcassandra.storagedir={self._folder}",
            "-Dcassandra-foreground=yes",
            "-cp",
            f"{jars}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]
        self._process = start(command, self._folder)
        wait_until(lambda: listens(self.port), self._process, self._folder)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ValueError("the server was not started")
        return self._process.pid

    def create_keyspace(self, name: str) -> str:
        """Make an empty keyspace of one copy, and give the URI of a store in it."""
        with self.connect() as session:
            session.execute(
                f"create keyspace {name} with replication = "
                "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}"
            )
        return f"cql://127.0.0.1:{self.port}/{name}?dc=datacenter1&state_seconds=0.2"

    @contextmanager
    def connect(self, keyspace: str | None = None) -> Iterator[Any]:
        """A session of the driver's, as the first user where there are users."""
        user = PlainTextAuthProvider("cassandra", "cassandra") if self._authenticated else None
        for attempt in itertools.count():
            cluster = Cluster(
                ["127.0.0.1"],
                port=self.port,
                auth_provider=user,
                connect_timeout=20,
                ssl_context=None if self._tls is None else self._tls.client_context(),
            )
            try:
                session = cluster.connect(keyspace)
                break
            except NoHostAvailable:
                # The first user is made some seconds after the server takes connections.
                cluster.shutdown()
                if attempt == 100:
                    raise
                time.sleep(0.2)
        try:
            yield session
        finally:
            cluster.shutdown()

    def kill(self) -> None:
        """End it at once, as a machine that fails would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _settings(self, authenticated: bool) -> dict[str, object]:
        storage = free_port()
        seeds = [{"seeds": f"127.0.0.1:{storage}"}]
        auth = {"authenticator": "PasswordAuthenticator", "authorizer": "CassandraAuthorizer"}
        return {
            "cluster_name": "tests",
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "num_tokens": 1,
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [
                {
                    "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                    "parameters": seeds,
                }
            ],
            "listen_address": "127.0.0.1",
            "rpc_address": "127.0.0.1",
            "storage_port": storage,
            "native_transport_port": self.port,
            "start_native_transport": True,
            "commitlog_sync": "periodic",
            "commitlog_sync_period": "10s",
            "auto_snapshot": False,
            "data_file_directories": [str(self._folder / "data")],
            "commitlog_directory": str(self._folder / "commitlog"),
            "saved_caches_directory": str(self._folder / "saved_caches"),
            "hints_directory": str(self._folder / "hints"),
            "cdc_raw_directory": str(self._folder / "cdc_raw"),
            **(auth if authenticated else {}),
            **({} if self._tls is None else self._tls.settings(self._folder)),
            **(
                {}
                if self._requests is None
                else {
                    "native_transport_rate_limiting_enabled": True,
                    "native_transport_max_requests_per_second": self._requests,
                }
            ),
        }


@contextmanager
def cassandra_server(
    *,
    large: bool = False,
    authenticated: bool = False,
    requests: int | None = None,
    tls: Tls | None = None,
) -> Iterator[CassandraServer]:
    """A Cassandra in a folder of its own, stopped and removed at the end.

    Args:
        large: a heap for benchmarks, 1 GB, and the better compiler.
        requests: that it takes a second; those beyond wait.
        authenticated: asks for a user and password; at first there is cassandra, cassandra.
        tls: takes encrypted connections alone.
    """
    folder = Path(tempfile.mkdtemp(prefix="forebay-cassandra-"))
    server = CassandraServer(
        folder, large=large, authenticated=authenticated, requests=requests, tls=tls
    )
    try:
        server.start()
        yield server
    finally:
        server.kill()  # its data goes with it
        shutil.rmtree(folder, ignore_errors=True)
