"""A real Cassandra for the tests of stores, one a test process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.servers.cassandra import CassandraServer, cassandra_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cassandra() -> Iterator[CassandraServer]:
    with cassandra_server() as server:
        yield server


@pytest.fixture
def new_keyspace(cassandra: CassandraServer) -> Callable[[], str]:
    """A function that makes an empty keyspace and gives its store's URI."""
    return lambda: cassandra.create_keyspace(f"test_{next(_numbers)}")
