"""An Iceberg REST catalog: Iceberg's own test servlet over a JDBC catalog. Needs JDK 17 and Maven."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.maven import fetch_jars
from tests.servers.postgres import PostgresServer
from tests.servers.process import (
    ServerError,
    fetch_once,
    find_jdk,
    free_port,
    listens,
    start,
    stop,
    wait_until,
)
from tests.servers.s3 import S3Server

_HERE = Path(__file__).parent
_MAIN = _HERE / "RestCatalog.java"


@contextmanager
def rest_catalog_server(
    postgres: PostgresServer,
    warehouse: str,
    *,
    s3: S3Server | None = None,
    name: str = "lake",
    database: str | None = None,
    vended: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A REST catalog in a database, stopped at the end; gives its URL.

    Args:
        postgres: what keeps its pointers to tables.
        warehouse: where tables go, ``s3://bucket/folder`` or ``file:///folder``.
        s3: the object store, for a warehouse there.
        name: of the JDBC catalog below; another client of the database has to use the same.
        database: an existing one, else one of its own.
        vended: properties that clients get with each table that they load, such as credentials.

    Raises:
        ServerError: it cannot be fetched or does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="forebay-rest-catalog-"))
    port = free_port()
    properties = {
        "uri": f"jdbc:postgresql://127.0.0.1:{postgres.port}/{database or postgres.create_database()}",
        "jdbc.user": postgres.user,
        "jdbc.password": postgres.password,
        "jdbc.schema-version": "V1",
        "warehouse": warehouse,
        "io-impl": "RestCatalog$LocalFileIO",
        **(_object_store(s3) if s3 is not None else {}),
        **{f"vend.{key}": value for key, value in (vended or {}).items()},
    }
    jars = fetch_jars("rest-catalog", _HERE / "pom.xml")
    command = [
        str(find_jdk(17) / "bin" / "java"),
        "-Xms64m",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{_compiled(jars)}:{jars}/*",
        "RestCatalog",
        str(port),
        name,
        *(f"{key}={value}" for key, value in properties.items()),
    ]
    process = start(command, folder)
    try:
        wait_until(lambda: listens(port), process, folder, seconds=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _object_store(s3: S3Server) -> dict[str, str]:
    return {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": s3.endpoint,
        "s3.path-style-access": "true",
        "s3.access-key-id": s3.access_key,
        "s3.secret-access-key": s3.secret_key,
        "client.region": s3.region,
    }


def _compiled(jars: Path) -> Path:
    """The folder of the server's classes, compiled once."""
    digest = hashlib.sha256(_MAIN.read_bytes()).hexdigest()[:12]

    def compile_main(folder: Path) -> None:
        command = [str(find_jdk(17) / "bin" / "javac"), "-cp", f"{jars}/*", "-d", str(folder)]
        done = subprocess.run([*command, str(_MAIN)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(f"javac fails: {done.stderr[-2000:]}")

    return fetch_once(f"rest-catalog-classes-{digest}", compile_main)
