"""Reads by acsylla, an asyncio driver over ScyllaDB's C++ driver, which takes a fraction of the CPU.

scylla-driver does all else, and these reads too until acsylla's session is open and where it is not
installed: an event loop's first read starts to open one, and waits for nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from feature_specs.errors import ForebayError
from serving.stores.cql.address import Address
from serving.stores.cql.connection import READ_TIMEOUT, Connection

#: A statement's text and what its question marks stand for.
Statement: TypeAlias = tuple[str, list[Any]]

#: Reads of one call on the way at a time: enough to keep a few nodes busy, few enough that one large
#: request does not queue up before the others'.
WINDOW = 128
#: Seconds until it is tried again to open a session that could not be opened.
_AGAIN = 30.0
_RECONNECT_MS = 1000

# What it has to say is in the errors.
logging.getLogger("acsylla").addHandler(logging.NullHandler())


def is_available(address: Address) -> bool:
    """Whether acsylla reads from a store.

    Encrypted connections to servers that the system's certificates vouch for are left to
    scylla-driver: the C++ driver does not know those certificates.
    """
    wanted = address.reader in (None, "acsylla") and (not address.tls or address.ca is not None)
    return wanted and importlib.util.find_spec("acsylla") is not None


class FastReads:
    """acsylla's session of one event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._address = connection.address
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Future[None] | None = None
        self._session: Any = None
        self._prepared: dict[str, Any] = {}
        self._tried = float("-inf")
        from acsylla.errors import CassException

        self._failures: type[Exception] = CassException

    async def ready(self) -> bool:
        """Whether `run` may be called now. Where it is not the address's wish it is never waited for."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._session, self._opening, self._prepared = loop, None, None, {}
            self._tried = float("-inf")
        if self._session is not None:
            return True
        if self._opening is None and loop.time() - self._tried > _AGAIN:
            self._tried = loop.time()
            self._opening = loop.create_future()
            self._open(self._opening)
        if self._address.reader is not None and self._opening is not None:
            await asyncio.shield(self._opening)
        return self._session is not None

    def is_open(self) -> bool:
        """Whether `run` may be called now, without any wish to open it."""
        return self._session is not None and self._loop is asyncio.get_running_loop()

    async def run_one(self, statement: Statement) -> list[Any]:
        """The rows of one statement. Raises StoreDownError where it fails."""
        text, values = statement
        prepared = self._prepared.get(text)
        try:
            if prepared is None:
                return await self._read(statement)
            bound = prepared.bind()
            bound.bind_list(values)
            return [row.as_list() for row in await self._session.execute(bound)]
        except self._failures as error:
            raise self._explain(error) from error

    async def run(self, statements: Sequence[Statement]) -> list[list[Any]]:
        """The rows of each statement, in order. The first that fails ends it.

        Raises:
            StoreDownError: one failed.
        """
        from acsylla.errors import CassException

        try:
            if len(statements) == 1:
                return [await self._read(statements[0])]
            results: list[list[Any]] = [[] for _ in statements]
            pending = iter(enumerate(statements))
            async with asyncio.TaskGroup() as group:
                for _ in range(min(WINDOW, len(statements))):
                    group.create_task(self._work(pending, results))
            return results
        except* CassException as errors:
            first = _first(errors)
        raise self._explain(first) from first

    def close(self) -> None:
        """Let the session go."""
        self._session, self._prepared = None, {}

    async def _work(
        self, pending: Iterator[tuple[int, Statement]], results: list[list[Any]]
    ) -> None:
        for number, statement in pending:
            results[number] = await self._read(statement)

    async def _read(self, statement: Statement) -> list[Any]:
        text, values = statement
        prepared = self._prepared.get(text)
        if prepared is None:
            prepared = self._prepared[text] = await self._session.create_prepared(text)
        bound = prepared.bind()
        bound.bind_list(values)
        return [row.as_list() for row in await self._session.execute(bound)]

    def _open(self, opened: asyncio.Future[None]) -> None:
        """Begin to open the session; ``opened`` is done once it is, or cannot be."""
        import acsylla

        address = self._address
        loop = self._loop

        def take(session: Any) -> None:
            if loop is self._loop:
                # Without one scylla-driver reads, or says what is wrong.
                self._opening, self._session = None, session
            opened.set_result(None)

        cluster = acsylla.create_cluster(
            list(address.hosts),
            port=address.port,
            username=address.user,
            password=address.password,
            request_timeout=READ_TIMEOUT,
            log_level="critical",
            consistency=acsylla.Consistency.LOCAL_QUORUM,
            load_balance_dc_aware=address.dc,
            constant_reconnect_delay_ms=_RECONNECT_MS,
            **_tls(address),
        )
        _drive(cluster.create_session(keyspace=address.keyspace), take)

    def _explain(self, error: BaseException) -> ForebayError:
        from acsylla.errors import (
            CassErrorServerBadCredentials,
            CassErrorServerInvalidQuery,
            CassErrorServerUnauthorized,
        )

        refusals = (
            CassErrorServerBadCredentials,
            CassErrorServerInvalidQuery,
            CassErrorServerUnauthorized,
        )
        if isinstance(error, refusals):
            return self._connection.refused(error)
        return self._connection.down(error)


class FastReadsAside:
    """`FastReads` for callers without an event loop: it has one, in a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self._reads = FastReads(connection)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, statements: Sequence[Statement]) -> list[list[Any]] | None:
        """As `FastReads.run`; None where it is not ready."""
        return asyncio.run_coroutine_threadsafe(self._run(statements), self._loop).result()

    def close(self) -> None:
        """Let the session go, and end the thread."""
        self._loop.call_soon_threadsafe(self._reads.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _run(self, statements: Sequence[Statement]) -> list[list[Any]] | None:
        return await self._reads.run(statements) if await self._reads.ready() else None


def _tls(address: Address) -> dict[str, Any]:
    """Options of an encrypted connection. Files were read by scylla-driver before, which says what is
    wrong with them."""
    import acsylla

    if not address.tls or address.ca is None:
        return {}
    options: dict[str, Any] = {
        "ssl_enabled": True,
        "ssl_trusted_cert": Path(address.ca).read_text(),
        # The address, too, as scylla-driver does.
        "ssl_verify_flags": acsylla.SSLVerifyFlags.PEER_IDENTITY,
    }
    if address.certificate is not None:
        chain = Path(address.certificate).read_text()
        options["ssl_cert"] = chain
        options["ssl_private_key"] = chain if address.key is None else Path(address.key).read_text()
    return options


def _drive(opening: Coroutine[Any, Any, Any], take: Callable[[Any], None]) -> None:
    """Run a coroutine of acsylla's that opens a session; hand over the session, None where it fails.

    A task would do, were it not cancelled when an event loop ends: a session that is let go while it
    connects waits for the driver's thread, which waits for Python, for ever. So nothing cancels it, and
    where the loop ends first it is never let go.
    """
    from acsylla.errors import CassException

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(opening))

    def step(_: object = None) -> None:
        session = None
        try:
            waits_for = opening.send(None)
        except StopIteration as done:
            session = done.value
        except CassException:
            pass
        else:
            waits_for._asyncio_future_blocking = False
            waits_for.add_done_callback(step)
            return
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(opening))
        take(session)

    step()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
