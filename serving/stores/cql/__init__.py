"""The online store on ScyllaDB, or any server that speaks CQL.

Read versions.py first: which of an entity's rows counts. Then store.py, which reads, and writer.py.
"""

from __future__ import annotations

import importlib.util

from feature_specs.errors import ForebayError
from serving.stores.cql.address import parse_address
from serving.stores.protocol import OnlineStore


def open_cql(uri: str, readonly: bool) -> OnlineStore:
    """The store of a ``cql://host[,host]:port/keyspace?dc=...`` URI.

    Raises:
        ForebayError: the address is none, the driver is not installed, or the store cannot be opened.
    """
    address = parse_address(uri)
    if importlib.util.find_spec("cassandra") is None:
        raise ForebayError(
            "the driver of ScyllaDB is not installed",
            where=uri,
            hint="run `pip install 'forebay[scylla]'`",
        )
    # Only who has such a store waits for the driver.
    from serving.stores.cql.store import CqlStore

    return CqlStore(address, readonly=readonly)
