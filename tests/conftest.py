"""What all tests share: fixed examples for properties, and the servers that lakes elsewhere need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.servers.kafka import KafkaServer
    from tests.servers.postgres import PostgresServer
    from tests.servers.s3 import S3Server
    from tests.servers.spark import SparkServer
    from tests.servers.trino import TrinoServer

# The same examples in every run, so that CI fails only for a change; nor for a slow machine: how
# long it takes to draw is not a property of the code.
settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")

#: Of tests marked ``many_cases`` `make test-fast` runs one case in so many.
SHARE = 8


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast",
        action="store_true",
        help=f"leave out slow tests, and all but one in {SHARE} of those with many cases",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose what ``--fast`` runs: the same in each process, and in each run."""
    if config.getoption("fast"):
        left = [item for item in items if _is_left_out(item)]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _is_left_out(item: pytest.Item) -> bool:
    if item.get_closest_marker("slow") is not None:
        return True
    drawn = crc32(item.nodeid.encode()) % SHARE
    return drawn != 0 and item.get_closest_marker("many_cases") is not None


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A broker that all tests of a process share; each makes topics of its own."""
    from tests.servers.kafka import kafka_server

    with kafka_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL, one a test process; `create_database` gives each test its own."""
    from tests.servers.postgres import postgres_server  # its client is not for every run

    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An object store, one a test process; `create_bucket` gives each test its own."""
    from tests.servers.s3 import s3_server

    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def trino() -> Iterator[TrinoServer]:
    """A Trino, one a test process; `create_catalog` gives each test its own."""
    from tests.servers.trino import trino_server

    with trino_server() as server:
        yield server


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkServer]:
    """A Spark, one a test process."""
    from tests.servers.spark import spark_server

    with spark_server() as server:
        yield server
