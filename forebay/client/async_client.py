"""A client of a forebay server for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from feature_specs.errors import ForebayError
from forebay.client.answer import ChangedError, Reply, read_vectors
from forebay.client.base import BaseClient
from forebay.client.deadline import Deadline
from forebay.client.errors import error_of, may_pass, unreachable
from forebay.client.http1 import Response
from forebay.client.listing import Feature, Health, Service, read_features, read_services
from forebay.client.replies import read_health, read_listing
from forebay.client.request import vector_requests
from forebay.client.settings import Settings
from forebay.client.streams import Connections
from forebay.client.values import Columns
from forebay.client.vectors import Vectors

_Made = TypeVar("_Made")


class AsyncClient(BaseClient):
    __doc__ = f"""{BaseClient.__doc__}
    Any number of tasks of one event loop may share one. A task that is cancelled closes its
    connection, and no other's."""

    async def vectors(
        self,
        features: str | Sequence[str],
        entities: Columns,
        *,
        request: Mapping[str, Any] | None = None,
        ages: bool = False,
        budget: float | None = None,
        timeout: float | None = None,
    ) -> Vectors:
        """As `Client.vectors`; for that alone the requests of more than 1,000 entities run at once."""
        requests = vector_requests(features, entities, request, ages, budget)
        deadline = self._deadline(requests[0].path, timeout)
        sent = [self._server.post(each.path, each.body) for each in requests]

        async def ask_all() -> Vectors:
            while True:
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(self._ask(each, deadline)) for each in sent]
                try:
                    replies = [_reply(each.result()) for each in asked]
                    return read_vectors(requests, replies, self._server.url, stack=6)
                except ChangedError as error:
                    await asyncio.sleep(deadline.pause(error))

        async def ask_one() -> Vectors:
            response = await self._ask(sent[0], deadline)
            return read_vectors(requests, [_reply(response)], self._server.url, stack=5)

        return await _within(deadline, ask_one() if len(sent) == 1 else _first_error(ask_all()))

    async def services(self) -> list[Service]:
        """As `Client.services`."""
        return read_services(await self._listing())

    async def features(self) -> list[Feature]:
        """As `Client.features`."""
        return read_features(await self._listing())

    async def health(self) -> Health:
        """As `Client.health`."""
        path = "/health"
        deadline = self._deadline(path)
        response = await _within(deadline, self._try(self._server.get(path), deadline))
        return read_health(response, self._server.url + path)

    async def close(self) -> None:
        """Close the connections. Calls afterwards raise ClosedError; closing again does nothing."""
        self._closed = True
        if self._connections is not None:
            self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _start(self, settings: Settings) -> None:
        super()._start(settings)
        self._connections: Connections | None = None
        self._pid = os.getpid()

    async def _listing(self) -> dict[str, Any]:
        path = "/features"
        deadline = self._deadline(path)
        response = await _within(deadline, self._ask(self._server.get(path), deadline))
        return read_listing(response, self._server.url + path)

    async def _ask(self, request: bytes, deadline: Deadline) -> Response:
        """The answer to a request, where its status is 200."""
        while True:
            response = await self._try(request, deadline)
            if response.status == 200:
                return response
            error = error_of(response, self._server.url)
            if not may_pass(response):
                raise error
            await asyncio.sleep(deadline.pause(error, response.retry_after))

    async def _try(self, request: bytes, deadline: Deadline) -> Response:
        """The answer to a request, whatever its status."""
        while True:
            self._check_open()
            try:
                return await self._own_connections().exchange(request, deadline)
            except OSError as error:
                deadline.left()  # raises where that was the reason
                await asyncio.sleep(deadline.pause(unreachable(error, self._server.url)))

    def _own_connections(self) -> Connections:
        """The connections of the running event loop in this process."""
        loop, known = asyncio.get_running_loop(), self._connections
        if known is not None and known.loop is loop and self._pid == os.getpid():
            return known
        if known is not None and self._pid == os.getpid() and not known.loop.is_closed():
            raise ForebayError(
                "this client is used by another event loop",
                where=self._server.url,
                hint="make a client for each event loop",
            )
        self._connections = Connections(self._server, self._settings.connections)
        self._pid = os.getpid()
        return self._connections


def _reply(response: Response) -> Reply:
    return Reply(response.body, response.deprecated)


async def _within(deadline: Deadline, work: Awaitable[_Made]) -> _Made:
    """What the work gives. Raises UnavailableError where it is not done in time."""
    limit = asyncio.timeout(deadline.left())
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        raise deadline.passed() from None


async def _first_error(work: Awaitable[_Made]) -> _Made:
    """What the work gives; of the errors of several tasks the first."""
    try:
        return await work
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
