"""A client of a forebay server that blocks, for any number of threads."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from forebay.client.answer import ChangedError, Reply, read_vectors
from forebay.client.base import BaseClient
from forebay.client.deadline import Deadline
from forebay.client.errors import error_of, may_pass, unreachable
from forebay.client.http1 import Response
from forebay.client.listing import Feature, Health, Service, read_features, read_services
from forebay.client.replies import read_health, read_listing
from forebay.client.request import vector_requests
from forebay.client.settings import Settings
from forebay.client.sockets import Connections
from forebay.client.values import Columns
from forebay.client.vectors import Vectors
from forebay.closing import Closing


class Client(BaseClient, Closing):
    __doc__ = f"{BaseClient.__doc__}\n    Any number of threads may share one."

    def vectors(
        self,
        features: str | Sequence[str],
        entities: Columns,
        *,
        request: Mapping[str, Any] | None = None,
        ages: bool = False,
        budget: float | None = None,
        timeout: float | None = None,
    ) -> Vectors:
        """The features of some entities, in their order.

        More than 1,000 entities are asked in several requests, one after the other. Each view's rows
        in one answer are of one moment; between two requests a sync may replace them.

        Args:
            features: a feature service's name, or features as ``view:feature``.
            entities: for each key column a list, or a column of a frame, with a value an entity; or a
                frame of the key columns.
            request: request values, a list with one an entity or one value for all.
            ages: give each view's age too.
            budget: seconds, 0.001 to 60, that the online store may take; views whose rows have not
                come by then are null and stand in ``absent`` as UNAVAILABLE. Without it a call waits
                for all, and fails as a whole.
            timeout: for this call, in seconds.

        Raises:
            UnknownNameError: a service, view, feature or entity does not exist.
            InvalidRequestError: something is missing, or of a wrong type.
            DataError: a value cannot be sent exactly.
            NotReadyError: a view is not in the online store.
            AccessError: the API key is missing or wrong.
            UnavailableError: no answer in time.
            ClosedError: the client is closed.
        """
        requests = vector_requests(features, entities, request, ages, budget)
        deadline = self._deadline(requests[0].path, timeout)
        sent = [self._server.post(each.path, each.body) for each in requests]
        while True:
            answers = [self._ask(each, deadline) for each in sent]
            replies = [Reply(each.body, each.deprecated) for each in answers]
            try:
                return read_vectors(requests, replies, self._server.url)
            except ChangedError as error:
                time.sleep(deadline.pause(error))

    def services(self) -> list[Service]:
        """The feature services. Raises as `vectors` does."""
        return read_services(self._listing())

    def features(self) -> list[Feature]:
        """All features, with their types and ages. Raises as `vectors` does."""
        return read_features(self._listing())

    def health(self) -> Health:
        """Whether all views can be served. Raises as `vectors` does where no server answers."""
        path = "/health"
        response = self._try(self._server.get(path), self._deadline(path))
        return read_health(response, self._server.url + path)

    def close(self) -> None:
        """Close the connections. Calls afterwards raise ClosedError; closing again does nothing."""
        self._closed = True
        self._connections.close()

    def _start(self, settings: Settings) -> None:
        super()._start(settings)
        self._connect()

    def _connect(self) -> None:
        self._connections = Connections(self._server, self._settings.connections)
        self._pid = os.getpid()

    def _listing(self) -> dict[str, Any]:
        path = "/features"
        response = self._ask(self._server.get(path), self._deadline(path))
        return read_listing(response, self._server.url + path)

    def _ask(self, request: bytes, deadline: Deadline) -> Response:
        """The answer to a request, where its status is 200."""
        while True:
            response = self._try(request, deadline)
            if response.status == 200:
                return response
            error = error_of(response, self._server.url)
            if not may_pass(response):
                raise error
            time.sleep(deadline.pause(error, response.retry_after))

    def _try(self, request: bytes, deadline: Deadline) -> Response:
        """The answer to a request, whatever its status."""
        while True:
            self._check_open()
            # Two processes on one connection would read each other's answers.
            if self._pid != os.getpid():
                self._connect()
            try:
                return self._connections.exchange(request, deadline)
            except OSError as error:
                deadline.left()  # raises where that was the reason
                time.sleep(deadline.pause(unreachable(error, self._server.url)))
