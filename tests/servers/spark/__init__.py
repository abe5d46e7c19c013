"""Spark 4.1 in a process of its own, spoken to by lines of JSON. Needs JDK 17."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.servers.engine import EngineError
from tests.servers.maven import fetch_jars
from tests.servers.process import ServerError, find_jdk, stop


class SparkServer:
    """A local session: pyspark of this environment, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one statement.

        Raises:
            EngineError: Spark refuses or fails it.
        """
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
    """A value as session.py wrote it."""
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


@contextmanager
def spark_server() -> Iterator[SparkServer]:
    """A session on loopback with a warehouse of its own, stopped and removed at the end."""
    jdk = find_jdk(17)
    process = subprocess.Popen(
        [
            "setpriv",
            "--pdeathsig",
            "KILL",
            sys.executable,
            str(Path(__file__).with_name("session.py")),
        ],
        env={**os.environ, "JAVA_HOME": str(jdk)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "ready":
            raise ServerError("Spark did not start")
        yield SparkServer(process)
    finally:
        stop(process)


def iceberg_jars() -> list[Path]:
    """Iceberg and the connector to Kafka of Spark 4.1, and JDBC drivers of catalogs: 70 MB."""
    return sorted(fetch_jars("spark-iceberg", Path(__file__).with_name("pom.xml")).glob("*.jar"))


def openlineage_jars() -> list[Path]:
    """OpenLineage's listener for Spark: 43 MB."""
    pom = Path(__file__).parent / "listener" / "pom.xml"
    return sorted(fetch_jars("spark-openlineage", pom).glob("*.jar"))
