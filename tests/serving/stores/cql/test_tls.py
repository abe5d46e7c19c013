"""Encrypted connections to a real Cassandra that takes no others, and no client without a certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from serving.stores import OnlineStore, StoreDownError, StoredView, open_store
from serving.stores.cql.address import READERS
from serving.stores.cql.store import CqlStore
from tests.servers.cassandra import Tls, cassandra_server
from tests.serving.certificates import Certificate, make_certificate

pytestmark = pytest.mark.slow

VIEW = StoredView("v", ("carrier",))


class Encrypted:
    """A server, and the files of those that it talks to.

    Attributes:
        uri: of a store in it, without what encryption needs.
    """

    def __init__(self, uri: str, server: Certificate, client: Certificate) -> None:
        self.uri, self.server, self.client = uri, server, client

    def address(self, ca: Path | None, client: Certificate | None, **options: str) -> str:
        parts = {} if client is None else {"certificate": str(client.cert), "key": str(client.key)}
        parts |= {"tls": "true"} | ({} if ca is None else {"ca": str(ca)}) | options
        return "&".join([self.uri, *(f"{name}={value}" for name, value in parts.items())])


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    folder = tmp_path_factory.mktemp("certificates")
    own, client = make_certificate(folder, "server"), make_certificate(folder, "client")
    files = Tls((own.cert, own.key), (client.cert, client.key))
    with cassandra_server(tls=files) as server:
        yield Encrypted(server.create_keyspace("encrypted"), own, client)


def read(store: OnlineStore) -> tuple[bytes | None, bytes | None, str]:
    """A view's state and row, and the driver that read it."""

    async def story() -> tuple[bytes | None, bytes | None, str]:
        assert isinstance(store, CqlStore)
        found = (await store.read({VIEW: [b"AA"]}))["v"]
        return found.state, found.rows[0], store.reader

    return asyncio.run(story())


@pytest.mark.parametrize("reader", READERS)
def test_written_and_read_over_tls(encrypted: Encrypted, reader: str) -> None:
    uri = encrypted.address(encrypted.server.cert, encrypted.client, reader=reader)
    with closing(open_store(uri)) as store:
        store.write(VIEW, [(b"AA", reader.encode())], (), b"state", replace=True)
    with closing(open_store(uri, readonly=True)) as store:
        assert read(store) == (b"state", reader.encode(), reader)


def test_who_cannot_be_trusted_is_not_talked_to(encrypted: Encrypted, tmp_path: Path) -> None:
    """By whom the server is vouched for, who this client is, and that it must be encrypted at all."""
    other = make_certificate(tmp_path, "other")
    for uri in (
        encrypted.address(other.cert, encrypted.client),
        encrypted.address(None, encrypted.client),  # by the system's certificates
        encrypted.address(encrypted.server.cert, other),
        encrypted.address(encrypted.server.cert, None),
        encrypted.uri,
    ):
        with pytest.raises(StoreDownError, match="does not answer"):
            open_store(uri)


def test_the_faster_driver_trusts_nobody_else_either(encrypted: Encrypted, tmp_path: Path) -> None:
    """Its session stays closed, and scylla-driver, which was let in, reads."""
    other = make_certificate(tmp_path, "other")
    uri = encrypted.address(encrypted.server.cert, encrypted.client, reader="acsylla")
    with closing(open_store(uri)) as store:
        store.write(VIEW, [(b"AA", b"row")], (), b"state", replace=True)
    swapped = tmp_path / "ca.pem"
    swapped.write_bytes(encrypted.server.cert.read_bytes())
    uri = encrypted.address(swapped, encrypted.client, reader="acsylla")
    with closing(open_store(uri, readonly=True)) as store:
        swapped.write_bytes(other.cert.read_bytes())  # acsylla reads it with the first lookup
        assert read(store) == (b"state", b"row", "scylla-driver")


def test_files_that_cannot_be_read_are_named(encrypted: Encrypted, tmp_path: Path) -> None:
    for ca, client in ((tmp_path / "no.pem", None), (encrypted.client.key, None)):
        with pytest.raises(ForebayError, match="certificates of the CQL store cannot be read"):
            open_store(encrypted.address(ca, client))
