"""Trino 476 and Spark 4.1 for tests: fetched once into a cache outside the tree, started by hand."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

CACHE = Path(os.environ.get("FOREBAY_CACHE", Path.home() / ".cache" / "forebay")) / "engines"
TRINO = "476"
SPARK = "4.1.4"
_JDK25, _JDK17 = "/usr/lib/jvm/temurin-25-jdk-amd64", "/usr/lib/jvm/java-17-openjdk-amd64"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_JVM = """-server
-Xms512M
-Xmx2500M
-XX:+UseG1GC
-XX:G1HeapRegionSize=16M
-XX:+ExitOnOutOfMemoryError
-XX:-OmitStackTraceInFastThrow
-XX:ReservedCodeCacheSize=256M
-Djdk.attach.allowAttachSelf=true
--enable-native-access=ALL-UNNAMED
--add-modules=jdk.incubator.vector
--sun-misc-unsafe-memory-access=allow
-Dfile.encoding=UTF-8
-Duser.timezone=UTC
"""


class EngineError(Exception):
    """The engine refused or failed a statement."""


class Server(Protocol):
    """A running engine."""

    def run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one statement. Raises EngineError."""
        ...


class TrinoServer:
    """A connection to a Trino with a memory catalog."""

    def __init__(self, port: int) -> None:
        from trino.dbapi import connect

        self._connection = connect(
            host="127.0.0.1", port=port, user="test", catalog="memory", schema="default",
            timezone="UTC",
        )  # fmt: skip

    def run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        from trino.exceptions import TrinoQueryError

        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            rows = [tuple(row) for row in cursor.fetchall()]
        except TrinoQueryError as error:
            raise EngineError(f"{error.error_name}: {error.message}") from None
        return [d[0] for d in cursor.description or []], rows


class SparkServer:
    """A pyspark of a Python of its own, spoken to by lines of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(sql) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise EngineError("Spark has gone")
        answer = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"])
        rows = [tuple(revive(v) for v in row) for row in answer["rows"]]
        return answer["names"], rows


def revive(value: Any) -> Any:
    """A value as engine_spark.py wrote it."""
    from datetime import UTC, date, datetime, timedelta
    from decimal import Decimal

    match value:
        case {"ts": int() as us}:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
        case {"ntz": str() as text}:
            return datetime.fromisoformat(text)
        case {"date": str() as text}:
            return date.fromisoformat(text)
        case {"dec": str() as text}:
            return Decimal(text)
        case {"float": str() as text}:
            return float(text)
        case list():
            return [revive(v) for v in value]
    return value


@contextlib.contextmanager
def trino_server() -> Iterator[TrinoServer]:
    """A Trino on loopback with a data folder of its own, stopped at the end."""
    home = _fetch_trino()
    work = Path(tempfile.mkdtemp(prefix="forebay-trino-"))
    port = _free_port()
    _configure(work, port)
    env = {**os.environ, "JAVA_HOME": _JDK25, "PATH": f"{_JDK25}/bin:{os.environ['PATH']}"}
    launcher = [str(home / "bin" / "launcher"), f"--etc-dir={work / 'etc'}",
                f"--launcher-config={home / 'bin' / 'launcher.properties'}", "run"]  # fmt: skip
    with (work / "server.log").open("w") as log:
        process = subprocess.Popen(
            launcher, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for_trino(port, process, work)
        yield TrinoServer(port)
    finally:
        _stop(process)
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def spark_server() -> Iterator[SparkServer]:
    """A local Spark session in a process of its own."""
    python = _fetch_spark()
    env = {**os.environ, "JAVA_HOME": _JDK17}
    process = subprocess.Popen(
        [str(python), str(Path(__file__).with_name("engine_spark.py"))],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "ready":
            raise EngineError("Spark did not start")
        yield SparkServer(process)
    finally:
        _stop(process)


def _fetch_trino() -> Path:
    home = CACHE / f"trino-server-core-{TRINO}"
    if (home / "plugin" / "memory").is_dir():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    for artifact in (
        f"io.trino:trino-server-core:{TRINO}:tar.gz",
        f"io.trino:trino-memory:{TRINO}:zip",
    ):
        command = ["mvn", "-B", "-q", _COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={CACHE}"]
        subprocess.run(command, check=True, cwd=CACHE)
    with tarfile.open(CACHE / f"trino-server-core-{TRINO}.tar.gz") as archive:
        archive.extractall(CACHE, filter="tar")
    with zipfile.ZipFile(CACHE / f"trino-memory-{TRINO}.zip") as plugin:
        plugin.extractall(home / "plugin")
    (home / "plugin" / f"trino-memory-{TRINO}").rename(home / "plugin" / "memory")
    return home


def _fetch_spark() -> Path:
    home = CACHE / f"pyspark-{SPARK}"
    python = home / "bin" / "python"
    if not (home / "fetched").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        command = [str(python), "-m", "pip", "install", "-q", f"pyspark=={SPARK}"]
        subprocess.run(command, check=True)
        (home / "fetched").touch()
    return python


def _configure(work: Path, port: int) -> None:
    etc = work / "etc"
    (etc / "catalog").mkdir(parents=True)
    (etc / "jvm.config").write_text(_JVM)
    _properties(etc / "node.properties", {
        "node.environment": "test", "node.id": "test-1", "node.data-dir": str(work / "data"),
        "node.internal-address": "127.0.0.1", "node.bind-ip": "127.0.0.1",
    })  # fmt: skip
    _properties(etc / "config.properties", {
        "coordinator": "true", "node-scheduler.include-coordinator": "true",
        "http-server.http.port": str(port), "discovery.uri": f"http://127.0.0.1:{port}",
        "catalog.management": "static", "query.max-memory": "1000MB",
        "query.max-memory-per-node": "1000MB", "memory.heap-headroom-per-node": "500MB",
    })  # fmt: skip
    _properties(etc / "catalog" / "memory.properties", {"connector.name": "memory"})


def _properties(path: Path, values: Mapping[str, str]) -> None:
    path.write_text("".join(f"{k}={v}\n" for k, v in values.items()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_trino(port: int, process: subprocess.Popen[Any], work: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise EngineError(f"Trino stopped: {(work / 'server.log').read_text()[-2000:]}")
        with contextlib.suppress(OSError, ValueError):
            url = f"http://127.0.0.1:{port}/v1/info"
            with urllib.request.urlopen(url, timeout=2) as response:
                if json.load(response)["starting"] is False:
                    return
        time.sleep(0.25)
    raise EngineError("Trino did not start")


def _stop(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 15)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)


def insert_statements(
    name: str, types: Sequence[str], rows: Sequence[Sequence[Any]], engine: str, batch: int = 200
) -> Iterator[str]:
    """INSERT statements of rows as literals.

    Args:
        types: the engine's types of the columns.
    """
    for start in range(0, len(rows), batch):
        listed = ", ".join(
            "(" + ", ".join(_literal(v, t, engine) for v, t in zip(row, types, strict=True)) + ")"
            for row in rows[start : start + batch]
        )
        yield f"insert into {name} values {listed}"


def _literal(value: Any, kind: str, engine: str) -> str:
    from datetime import date, datetime

    if value is None:
        return f"cast(null as {kind})"
    if isinstance(value, datetime):
        zone = " UTC" if value.tzinfo is not None else ""
        text = f"{value:%Y-%m-%d %H:%M:%S.%f}{zone}"
        return f"cast('{text}' as {kind})"
    if isinstance(value, date):
        return f"date '{value}'"
    if isinstance(value, str):
        text = (
            value.replace("'", "''")
            if engine == "trino"
            else value.replace("\\", "\\\\").replace("'", "\\'")
        )
        return f"cast('{text}' as {kind})"
    if isinstance(value, float):
        return f"cast({value!r} as {kind})"
    return f"cast({value} as {kind})"
