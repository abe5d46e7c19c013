"""A client that asks one thing over and over: closed loop, or open loop at a rate.

    python -m benchmarks.online.load '{"port": .., "path": .., "body": .., "connections": ..,
                                       "seconds": .., "rate": null, "cpu": ..}'

Prints a line of JSON: answers a second, and percentiles of the time to an answer in milliseconds. In
an open loop requests are due at fixed instants, whatever came of those before, and a time counts from
when its request was due: a server that stalls is not spared by a client that waits for it. Answers
that refuse because the server is busy (429, 503) are counted apart where the load says so.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import uvloop

_SLEEP_S = 0.00005


@dataclass(frozen=True)
class Load:
    """What to ask, and how.

    Attributes:
        rate: requests a second of an open loop; None for a closed loop.
        cpu: the core that the client is pinned to.
        busy: the server may refuse; else an answer that is not 200 ends the run.
    """

    port: int
    path: str
    body: str
    connections: int
    seconds: float
    rate: float | None
    cpu: int
    busy: bool = False


class Client(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, request: bytes, run: Run) -> None:
        self._request = request
        self._run = run
        self._missing = -1
        self._head = b""
        self._due = 0.0
        self._refused = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        # The loop itself would only write what `data_received` raised, and the run wait for ever.
        if not self._run.over:
            sys.stderr.flush()
            os._exit(1)

    def ask(self, due: float) -> None:
        """Send the request; its time counts from ``due``."""
        self._due = due
        self._missing, self._head = -1, b""
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._refused = self._run.is_refused(head)
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._missing = int(length) - len(rest)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._run.answered(self, self._due, self._refused)


class Run:
    """The connections of a load, and the times of its answers."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.times: list[float] = []
        self.refused: list[float] = []
        self._idle: list[Client] = []
        self._waiting: list[float] = []
        self._ends = 0.0
        self.over = False

    def is_refused(self, head: bytes) -> bool:
        """Whether an answer's head says that the server is busy. Raises unless that or 200."""
        status = head[9:12]
        if status == b"200":
            return False
        if self._load.busy and status in (b"429", b"503"):
            return True
        raise RuntimeError(head[:500])

    def answered(self, client: Client, due: float, refused: bool) -> None:
        """An answer has come: ask again, as soon as something is due."""
        now = time.perf_counter()
        (self.refused if refused else self.times).append(now - due)
        if self._load.rate is None:
            if now < self._ends:
                client.ask(now)
        elif self._waiting:
            client.ask(self._waiting.pop(0))
        else:
            self._idle.append(client)

    async def go(self) -> dict[str, float]:
        """Ask for as long as the load says."""
        load, loop = self._load, asyncio.get_running_loop()
        body = load.body.encode()
        host = f"127.0.0.1:{load.port}"  # a server refuses a name that is not its own
        head = f"POST {load.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        clients = []
        for _ in range(load.connections):
            _, client = await loop.create_connection(
                lambda: Client(request, self), "127.0.0.1", load.port
            )
            clients.append(client)
        started = time.perf_counter()
        self._ends = started + load.seconds
        if load.rate is None:
            for client in clients:
                client.ask(time.perf_counter())
            await asyncio.sleep(load.seconds)
            while len(self.times) < load.connections:  # a slow server answers each once at least
                await asyncio.sleep(0.05)
        else:
            self._idle = clients
            await self._at_rate(load.rate, started)
        took = time.perf_counter() - started
        self.over = True
        count = len(self.times)
        await asyncio.sleep(0.05)
        found = {"count": count, "rps": count / took, **percentiles_ms(self.times)}
        if load.busy:
            every = percentiles_ms(self.refused) if self.refused else {"p99": 0.0}
            found |= {"refused": len(self.refused) / took, "refused_p99": every["p99"]}
        return found

    async def _at_rate(self, rate: float, started: float) -> None:
        sent = 0
        while (now := time.perf_counter()) < self._ends:
            while (due := started + sent / rate) <= now:
                sent += 1
                if self._idle:
                    self._idle.pop().ask(due)
                else:
                    self._waiting.append(due)
            # The loop's own timers are a millisecond coarse.
            if due - now > _SLEEP_S * 2:
                time.sleep(_SLEEP_S)
            await asyncio.sleep(0)


def percentiles_ms(times: list[float]) -> dict[str, float]:
    """p50, p99, p99.9 and the greatest, in milliseconds."""
    ordered = sorted(times)
    last = len(ordered) - 1
    ranks = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: ordered[round(rank * last)] * 1e3 for name, rank in ranks.items()}


def main() -> None:
    load = Load(**json.loads(sys.argv[1]))
    os.sched_setaffinity(0, {load.cpu})
    gc.disable()
    print(json.dumps(uvloop.run(Run(load).go())))


if __name__ == "__main__":
    main()
