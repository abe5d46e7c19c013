"""What the endpoints that answer lookups share: plain ASGI, since each of them is a hot path.

Starlette's Request and Response would cost as much as the lookup itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError
from serving.access.audit import Audit
from serving.access.gate import CALLER, Gate
from serving.api.errors import TooLargeError, error_response, status_of
from serving.api.metrics import Metrics
from serving.api.take_over import TakeOver
from serving.lookup.limits import LIMITS, Limits, OverloadedError
from serving.lookup.read import ViewRows
from serving.served.served_log import ServedLog

#: The scope's entry for when a request's headers were read, by `time.perf_counter`.
ARRIVED = "forebay.arrived"
#: The scope's entries for what is asked, once that is known: `Asked`, and how many entities.
ASKED, ROWS = "forebay.asked", "forebay.rows"


class Answer(NamedTuple):
    """A lookup's answer.

    Attributes:
        views: what it was made of, to be counted.
        headers: those of its own, beside length and type.
    """

    body: bytes
    media_type: bytes
    views: Sequence[ViewRows]
    headers: Sequence[tuple[bytes, bytes]] = ()


class Answerer(Protocol):
    """A form of request and answer."""

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """The answer of a request. Raises ForebayError."""
        ...

    def check_names(self, catalog: Catalog, scope: Scope, body: bytes) -> None:
        """Raises ForebayError where the request names what a catalog does not have."""
        ...


def _tell(error: ForebayError, body: bytes) -> Response:
    return error_response(error)


class LookupEndpoint:
    """An ASGI application that answers, counts and times lookups of one form.

    Attributes:
        answerer: replaced between requests where the project has changed; a request that has begun
            goes on with the one that it began with.

    Args:
        gate: lets in who may ask; None lets everybody in.
        audit: keeps who asked for what; None keeps nothing.
        served: keeps a share of what was answered; None keeps nothing.
        limits: of bodies, and of the time that requests wait.
        tell: makes the answer of a request that failed, from the error and the request's body.
    """

    def __init__(
        self,
        answerer: Answerer,
        metrics: Metrics,
        take_over: TakeOver,
        tell: Callable[[ForebayError, bytes], Response] = _tell,
        gate: Gate | None = None,
        audit: Audit | None = None,
        served: ServedLog | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.answerer = answerer
        self._limits = limits
        self._gate, self._audit, self._served = gate, audit, served
        self._metrics = metrics
        self._take_over = take_over
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started: float = scope.get(ARRIVED) or time.perf_counter()
        body, status = b"", 500
        try:
            if time.perf_counter() - started > self._limits.queue_s:
                raise OverloadedError(
                    f"the request waited for more than {self._limits.queue_s:g} seconds",
                    where="requests",
                    hint="try again soon, or let more servers answer",
                )
            if self._gate is not None:
                self._gate.admit(scope)  # before anything is read of whoever may not ask
            received = await _body(receive, self._limits)
            if received is None:
                status = 499  # the client has left
                return
            body = received
            answer = await self.answerer.answer(scope, body)
            status = 200
            self._metrics.count_views(answer.views)
            await _send(send, answer)
            if self._served is not None:
                asked = scope.get(ASKED)
                self._served.record(None if asked is None else asked.service, answer.views)
        except ForebayError as error:
            explained = await self._take_over.explain(error, self._retry(scope, body))
            response = self._tell(explained, body)
            status = response.status_code
            await response(scope, receive, send)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.count_request(status, seconds)
            self._keep_audit(scope, status, seconds)

    async def answer_within(self, scope: Scope, body: bytes) -> bytes:
        """Answer a lookup that is part of another request, whose caller ``scope`` names.

        It is kept in the audit log as one that came by itself, and not counted among requests.

        Raises:
            ForebayError: it cannot be answered.
        """
        started, status = time.perf_counter(), 500
        try:
            answer = await self.answerer.answer(scope, body)
            status = 200
            return answer.body
        except ForebayError as error:
            status = status_of(error)
            raise
        finally:
            self._keep_audit(scope, status, time.perf_counter() - started)

    def _keep_audit(self, scope: Scope, status: int, seconds: float) -> None:
        if self._audit is not None:
            caller, asked = scope.get(CALLER), scope.get(ASKED)
            self._audit.record(caller, asked, scope.get(ROWS, 0), status, seconds)

    def _retry(self, scope: Scope, body: bytes) -> Callable[[Catalog], None]:
        return lambda catalog: self.answerer.check_names(catalog, scope, body)


async def _send(send: Callable[..., Awaitable[None]], answer: Answer) -> None:
    headers = [
        (b"content-length", b"%d" % len(answer.body)),
        (b"content-type", answer.media_type),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _body(receive: Receive, limits: Limits) -> bytes | None:
    """The request's body; None where the client left before its end.

    Raises:
        TooLargeError: it is longer than the limit.
        OverloadedError: all bodies together are.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        with _Parts(limits) as parts:
            parts.add(body)
            while message.get("more_body") and parts.length <= limits.body_bytes:
                message = await receive()
                parts.add(message.get("body", b""))
            body = b"".join(parts.kept)
    if message["type"] == "http.disconnect":
        return None
    if len(body) > limits.body_bytes:
        raise TooLargeError(
            f"the body is longer than {limits.body_bytes} bytes",
            where="body",
            hint="split the entities over several requests",
        )
    return body


class _Parts:
    """The parts of a body; all bodies that are not whole yet are counted together."""

    _all = 0

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.kept: list[bytes] = []
        self.length = 0

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *_: object) -> None:
        _Parts._all -= self.length

    def add(self, part: bytes) -> None:
        """Raises OverloadedError where all bodies together are too long."""
        self.kept.append(part)
        self.length += len(part)
        _Parts._all += len(part)
        if _Parts._all > self._limits.bodies_bytes:
            raise OverloadedError(
                "the bodies of all requests are too long", where="requests", hint="try again soon"
            )
