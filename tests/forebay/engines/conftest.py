"""A project whose lake another engine shares: on PostgreSQL with a Trino, on SQLite with a Spark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from pyiceberg.catalog import Catalog as Lake

from lakehouse.engines.spark import SparkEngine, SparkSettings
from lakehouse.engines.sql_engine import SqlEngine
from lakehouse.engines.trino import TrinoEngine, TrinoSettings
from lakehouse.lake import open_lake
from tests.forebay.engines.edges import FILES, write_tables
from tests.servers.postgres import PostgresServer
from tests.servers.process import find_jdk
from tests.servers.spark import iceberg_jars
from tests.servers.trino import TrinoServer

#: For a Spark that is over before Java's better compiler pays.
QUICK = {
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:TieredStopAtLevel=1",
    "spark.sql.shuffle.partitions": "2",
}
_LIBRARY = Path(__file__).parents[3] / "macros" / "forebay.sql"


@dataclass(frozen=True)
class SharedProject:
    """A project that pyiceberg and another engine read.

    Attributes:
        lake: what opens its lake.
        engine: as `--engine` names it.
        catalog: the engine's name of the lake.
        connect: connects to the engine.
    """

    root: Path
    lake: dict[str, str]
    engine: str
    catalog: str
    connect: Callable[[], SqlEngine]

    def open_lake(self) -> Lake:
        return open_lake(self.lake)

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command of forebay in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "forebay", *words],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(_LIBRARY.parents[1]), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> str:
        """What a command prints that succeeds."""
        process = self.start(*words)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return said

    def scratch(self) -> list[str]:
        """The scratch tables that there are."""
        return [name for _, name in self.open_lake().list_tables("forebay_scratch")]


def make_project(root: Path, lake: dict[str, str], **filled: object) -> None:
    """Write the project's files and load its tables."""
    profile = FILES["profiles/profiles.yml"].format(
        **{"port": 8080, "catalog": "lake", "spark": "{}", **filled},
        uri=lake["uri"],
        warehouse=lake["warehouse"],
    )
    for name, text in {**FILES, "profiles/profiles.yml": profile}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "macros").mkdir()
    (root / "macros" / "forebay.sql").write_text(_LIBRARY.read_text())
    write_tables(open_lake(lake), root)


def postgres_lake(root: Path, postgres: PostgresServer, database: str) -> dict[str, str]:
    """What opens a lake with its catalog in a database, and its files beside a project."""
    password = quote(postgres.password, safe="")
    return {
        "name": "lake",
        "type": "sql",
        "uri": f"postgresql+psycopg2://{postgres.user}:{password}@127.0.0.1:{postgres.port}/{database}",
        "warehouse": (root / "lake" / "warehouse").as_uri(),
    }


@pytest.fixture(scope="session")
def on_trino(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, trino: TrinoServer
) -> SharedProject:
    """The project with its tables loaded, compiled; tests leave both as they are."""
    root = tmp_path_factory.mktemp("shared")
    database = postgres.create_database()
    lake = postgres_lake(root, postgres, database)
    make_project(root, lake, port=trino.port, catalog=database)
    trino.create_lake_catalog(database, postgres, database, lake["warehouse"])
    settings = TrinoSettings("127.0.0.1", trino.port, "tests", database)
    made = SharedProject(root, lake, "trino", database, lambda: TrinoEngine(settings))
    made.run("compile")
    return made


@pytest.fixture(scope="session")
def on_spark(tmp_path_factory: pytest.TempPathFactory) -> SharedProject:
    """The same on a lake in a folder, as a project has it that is new."""
    os.environ["JAVA_HOME"] = str(find_jdk(17))
    root = tmp_path_factory.mktemp("shared")
    (root / "lake").mkdir()
    lake = {
        "name": "lake",
        "type": "sql",
        "uri": f"sqlite:///{root}/lake/catalog.db",
        "warehouse": (root / "lake" / "warehouse").as_uri(),
    }
    jars = [str(jar) for jar in iceberg_jars()]
    make_project(root, lake, spark=json.dumps({"jars": jars, "conf": QUICK}))
    settings = SparkSettings(lake, jars=jars, conf=QUICK)
    made = SharedProject(root, lake, "spark", "lake", lambda: SparkEngine(settings))
    made.run("compile")
    return made


@pytest.fixture(params=["trino", "spark"])
def shared(request: pytest.FixtureRequest) -> SharedProject:
    """The project on each engine in turn."""
    found: SharedProject = request.getfixturevalue(f"on_{request.param}")
    return found
