"""CPU of a lookup on the client's side: forebay's clients beside others that post the same body.

Every way asks one server for 100 features of 10 views, for one entity and for 100, by turns in one
run. CPU is of this process, and of the server beside it, a call; medians. "bare" ways stop at the
answer's bytes, the others go on to Python values or a frame.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgpack
import orjson
import pyarrow as pa
import requests
import urllib3

from benchmarks.online.project import SERVICE, fill, make_catalog
from forebay import AsyncClient, Client
from tests.serving.server_process import server_of

ROUNDS = 7
CALLS = {1: 200, 100: 40}
#: forebay's client gives dicts for at most this share of what httpx takes to give bytes.
REQUIRED = 0.5
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_ARROW = "application/vnd.apache.arrow.stream"
_PACKED = "application/msgpack"

Way = Callable[[], object]


def arrow_table(body: bytes) -> Any:
    return pa.ipc.open_stream(io.BytesIO(body)).read_all()


def server_cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog = make_catalog(folder, 100)
        fill(catalog)
        with server_of(catalog, folder) as server, asyncio.Runner() as runner:
            good = [measure(server.url, server.pid, runner, count) for count in CALLS]
    return 0 if all(good) else 1


def measure(url: str, pid: int, runner: asyncio.Runner, count: int) -> bool:
    """Print a table for that many entities; whether forebay's client is as light as required."""
    entities = {"user_id": list(range(count))}
    body = orjson.dumps({"entities": entities})
    path = f"/v1/services/{SERVICE}/vectors"
    ways = {
        **forebay_ways(url, runner, entities),
        **other_ways(url, path, runner, body),
    }
    used: dict[str, list[float]] = {way: [] for way in ways}
    served: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, call in ways.items():
            call()
            server_before, before = server_cpu(pid), time.process_time()
            for _ in range(CALLS[count]):
                call()
            used[way].append((time.process_time() - before) / CALLS[count])
            served[way].append((server_cpu(pid) - server_before) / CALLS[count])
    bare = statistics.median(used["httpx, bare"])
    print(f"\n{count} x 100: CPU a call, us{'client':>18}{'of bare httpx':>15}{'server':>9}")
    for way in ways:
        taken, server = statistics.median(used[way]), statistics.fmean(served[way])
        print(f"{way:<36}{taken * 1e6:>9.0f}{taken / bare:>15.2f}{server * 1e6:>9.0f}")
    return count > 1 or statistics.median(used["forebay.Client, to_dicts"]) <= REQUIRED * bare


def forebay_ways(
    url: str, runner: asyncio.Runner, entities: dict[str, list[int]]
) -> dict[str, Way]:
    client, other = Client(url, timeout=30), AsyncClient(url, timeout=30)

    async def dicts() -> object:
        return (await other.vectors(SERVICE, entities)).to_dicts()

    return {
        "forebay.Client, to_dicts": lambda: client.vectors(SERVICE, entities).to_dicts(),
        "forebay.Client, to_arrow": lambda: client.vectors(SERVICE, entities).to_arrow(),
        "forebay.AsyncClient, to_dicts": lambda: runner.run(dicts()),
    }


def other_ways(url: str, path: str, runner: asyncio.Runner, body: bytes) -> dict[str, Way]:
    json = {"content-type": "application/json"}
    client = httpx.Client(trust_env=False, timeout=30)
    async_client = httpx.AsyncClient(trust_env=False, timeout=30)
    session, pool = requests.Session(), urllib3.PoolManager()
    plain = http.client.HTTPConnection(url.removeprefix("http://"))

    def posted(accept: str) -> bytes:
        return client.post(url + path, content=body, headers={**json, "accept": accept}).content

    def plainly() -> bytes:
        try:
            plain.request("POST", path, body, json)
            return plain.getresponse().read()
        except ConnectionError:  # the server had closed it, idle as it was
            plain.close()
            return plainly()

    async def awaited() -> bytes:
        return (await async_client.post(url + path, content=body, headers=json)).content

    return {
        "httpx, bare": lambda: posted("*/*"),
        "httpx.AsyncClient, bare": lambda: runner.run(awaited()),
        "requests, bare": lambda: session.post(url + path, data=body, headers=json).content,
        "urllib3, bare": lambda: pool.request("POST", url + path, body=body, headers=json).data,
        "http.client, bare": plainly,
        "httpx, JSON, orjson": lambda: orjson.loads(posted("*/*")),
        "httpx, MessagePack, msgpack": lambda: msgpack.unpackb(posted(_PACKED)),
        "httpx, Arrow IPC, a table": lambda: arrow_table(posted(_ARROW)),
    }


if __name__ == "__main__":
    sys.exit(main())
