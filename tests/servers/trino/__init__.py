"""Trino 476 with the Iceberg and memory connectors. Needs JDK 25 and Maven."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trino.dbapi import Connection, connect
from trino.exceptions import TrinoQueryError

from tests.servers.engine import EngineError
from tests.servers.postgres import PostgresServer
from tests.servers.process import ServerError, fetch_once, find_jdk, free_port, start, wait_until
from tests.servers.s3 import S3Server

VERSION = "476"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_JVM = Path(__file__).with_name("jvm.config")


class TrinoServer:
    """One node on loopback, to which catalogs are added while it runs.

    Attributes:
        port: of HTTP.
    """

    def __init__(self, folder: Path, port: int, *, large: bool = False) -> None:
        self.port = port
        self._large = large
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        """Start it and wait until it takes queries.

        Raises:
            ServerError: it does not start.
        """
        home = _fetch()
        _configure(self._folder, self.port, large=self._large)
        jdk = find_jdk(25)
        command = [str(home / "bin" / "launcher"), f"--etc-dir={self._folder / 'etc'}",
                   f"--launcher-config={home / 'bin' / 'launcher.properties'}", "run"]  # fmt: skip
        path = {"JAVA_HOME": str(jdk), "PATH": f"{jdk / 'bin'}:/usr/bin:/bin"}
        self._process = start(command, self._folder, env=path)
        wait_until(self._is_ready, self._process, self._folder)
        # By default it holds 128 MB.
        room = {"memory.max-data-per-node": "1GB"} if self._large else {}
        self.create_catalog("memory", "memory", room)

    def kill(self) -> None:
        """End it at once: its data goes with it."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def connect(
        self, catalog: str = "memory", schema: str = "default", user: str = "test"
    ) -> Connection:
        """A connection of the driver's."""
        made: Connection = connect(
            host="127.0.0.1", port=self.port, user=user, catalog=catalog, schema=schema,
            timezone="UTC",
        )  # fmt: skip
        return made

    def run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one statement, in the memory catalog.

        Raises:
            EngineError: Trino refuses or fails it.
        """
        self._connection = self._connection or self.connect()
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            rows = [tuple(row) for row in cursor.fetchall()]
        except TrinoQueryError as error:
            raise EngineError(f"{error.error_name}: {error.message}") from None
        return [d[0] for d in cursor.description or []], rows

    def create_catalog(self, name: str, connector: str, properties: Mapping[str, str]) -> None:
        """Add a catalog, as a file etc/catalog/NAME.properties would."""
        listed = ", ".join(f"\"{key}\" = '{value}'" for key, value in properties.items())
        given = f" with ({listed})" if listed else ""
        self.run(f"create catalog {name} using {connector}{given}")

    def create_lake_catalog(
        self, name: str, postgres: PostgresServer, database: str, warehouse: str,
        s3: S3Server | None = None,
    ) -> None:  # fmt: skip
        """Add a catalog over the Iceberg tables that pyiceberg keeps in a database of PostgreSQL.

        Args:
            warehouse: ``file:///folder`` or ``s3://bucket/folder``.
        """
        jdbc = "iceberg.jdbc-catalog"
        self.create_catalog(name, "iceberg", {
            "iceberg.catalog.type": "jdbc",
            f"{jdbc}.driver-class": "org.postgresql.Driver",
            f"{jdbc}.connection-url": f"jdbc:postgresql://127.0.0.1:{postgres.port}/{database}",
            f"{jdbc}.connection-user": postgres.user,
            f"{jdbc}.connection-password": postgres.password,
            f"{jdbc}.catalog-name": "lake",
            f"{jdbc}.schema-version": "V1",
            f"{jdbc}.default-warehouse-dir": warehouse,
            "iceberg.file-format": "PARQUET",
            **(_local() if s3 is None else _object_store(s3)),
        })  # fmt: skip

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            url = f"http://127.0.0.1:{self.port}/v1/info"
            with urllib.request.urlopen(url, timeout=2) as response:
                return json.load(response)["starting"] is False
        return False


def _local() -> dict[str, str]:
    # Paths are then the same for Trino as for pyiceberg.
    return {"fs.native-local.enabled": "true", "local.location": "/"}


def _object_store(s3: S3Server) -> dict[str, str]:
    return {
        "fs.native-s3.enabled": "true",
        "s3.endpoint": s3.endpoint,
        "s3.region": s3.region,
        "s3.path-style-access": "true",
        "s3.aws-access-key": s3.access_key,
        "s3.aws-secret-key": s3.secret_key,
    }


@contextmanager
def trino_server(*, large: bool = False) -> Iterator[TrinoServer]:
    """A Trino on loopback with a data folder of its own, stopped and removed at the end.

    Args:
        large: with the better compiler of Java, for benchmarks; tests are over before it pays.
    """
    folder = Path(tempfile.mkdtemp(prefix="forebay-trino-"))
    server = TrinoServer(folder, free_port(), large=large)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _fetch() -> Path:
    """The server's home: its core and two plugins, 1 GB unpacked."""

    def fetch(folder: Path) -> None:
        for artifact in (f"trino-server-core:{VERSION}:tar.gz", f"trino-iceberg:{VERSION}:zip",
                         f"trino-memory:{VERSION}:zip"):  # fmt: skip
            command = ["mvn", "-B", "-q", _COPY, f"-Dartifact=io.trino:{artifact}"]
            copied = [*command, f"-DoutputDirectory={folder}"]
            done = subprocess.run(copied, capture_output=True, text=True, cwd=folder, check=False)
            if done.returncode:
                raise ServerError(
                    f"Maven cannot fetch {artifact}: {(done.stdout + done.stderr)[-2000:]}"
                )
        core = folder / f"trino-server-core-{VERSION}.tar.gz"
        with tarfile.open(core) as archive:
            archive.extractall(folder, filter="tar")
        core.unlink()
        plugins = folder / f"trino-server-core-{VERSION}" / "plugin"
        for name in ("iceberg", "memory"):
            packed = folder / f"trino-{name}-{VERSION}.zip"
            with zipfile.ZipFile(packed) as archive_of_plugin:
                archive_of_plugin.extractall(plugins)
            packed.unlink()
            (plugins / f"trino-{name}-{VERSION}").rename(plugins / name)

    return fetch_once(f"trino-{VERSION}", fetch) / f"trino-server-core-{VERSION}"


def _configure(folder: Path, port: int, *, large: bool) -> None:
    etc = folder / "etc"
    etc.mkdir()
    quick = "" if large else "-XX:TieredStopAtLevel=1\n"
    (etc / "jvm.config").write_text(_JVM.read_text() + quick)
    _properties(etc / "node.properties", {
        "node.environment": "test", "node.id": "test-1", "node.data-dir": str(folder / "data"),
        "node.internal-address": "127.0.0.1", "node.bind-ip": "127.0.0.1",
    })  # fmt: skip
    _properties(etc / "config.properties", {
        "coordinator": "true", "node-scheduler.include-coordinator": "true",
        "http-server.http.port": str(port), "discovery.uri": f"http://127.0.0.1:{port}",
        "catalog.management": "dynamic", "catalog.store": "memory",
        "query.max-memory": "1200MB", "query.max-memory-per-node": "1200MB",
        "memory.heap-headroom-per-node": "600MB",
    })  # fmt: skip


def _properties(path: Path, values: Mapping[str, str]) -> None:
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
