"""A lake on PostgreSQL that DuckDB, a Trino and a Spark share, one a test process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from lakehouse.engines.spark import SparkEngine, SparkSettings
from lakehouse.engines.sql_engine import SqlEngine
from lakehouse.engines.trino import TrinoEngine, TrinoSettings
from tests.forebay.engines.conftest import QUICK, postgres_lake
from tests.servers.postgres import PostgresServer
from tests.servers.process import find_jdk
from tests.servers.spark import iceberg_jars
from tests.servers.trino import TrinoServer


@dataclass(frozen=True)
class SharedLake:
    """What opens the lake, and what connects to each engine over it."""

    where: Mapping[str, str]
    connect: Mapping[str, Callable[[str], SqlEngine]]


@pytest.fixture
def shared_lake(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, trino: TrinoServer
) -> SharedLake:
    """A lake of the test's own."""
    os.environ["JAVA_HOME"] = str(find_jdk(17))
    database = postgres.create_database()
    lake = postgres_lake(tmp_path_factory.mktemp("shared"), postgres, database)
    trino.create_lake_catalog(database, postgres, database, lake["warehouse"])
    of_trino = TrinoSettings("127.0.0.1", trino.port, "tests", database)
    of_spark = SparkSettings(lake, jars=[str(jar) for jar in iceberg_jars()], conf=QUICK)
    return SharedLake(
        lake,
        {
            "trino": lambda run: TrinoEngine(of_trino, run),
            "spark": lambda run: SparkEngine(of_spark, run),
        },
    )
