"""The least that a Python server can do: read a body, and answer bytes that it holds already."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from serving.memory import keep_freed_memory


def make_app(bodies: dict[str, bytes]) -> Any:
    """An ASGI application that answers each path with its bytes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        body = bodies[scope["path"]]
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def main() -> None:
    """Serve the files of a folder, by name, on a port that is printed."""
    folder, cpu = Path(sys.argv[1]), int(sys.argv[2])
    os.sched_setaffinity(0, {cpu})
    keep_freed_memory()
    bodies = {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(128)
        print(taken.getsockname()[1], flush=True)
        config = uvicorn.Config(
            make_app(bodies), log_level="warning", access_log=False, lifespan="off"
        )
        uvicorn.Server(config).run(sockets=[taken])


if __name__ == "__main__":
    main()
