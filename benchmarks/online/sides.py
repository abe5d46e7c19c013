"""The servers that a benchmark compares, each a process of its own, and loads on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_specs.catalog import Catalog

HERE = Path(__file__).resolve().parents[2]
_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A server that answers: its port, and the processes whose CPU counts."""

    port: int
    pids: tuple[int, ...]

    def cpu_us(self) -> float:
        """CPU time that its processes have used, user and system, in microseconds."""
        return sum(map(_cpu_us, self.pids))


@dataclass(frozen=True)
class Side:
    """What is asked of a server."""

    name: str
    server: Server
    path: str
    body: bytes

    def ask(self) -> bytes:
        """One answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.server.port}{self.path}",
            self.body,
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            answer: bytes = response.read()
            return answer

    def load(
        self,
        cpu: int,
        seconds: float,
        connections: int = 16,
        rate: float | None = None,
        busy: bool = False,
    ) -> dict[str, float]:
        """Ask for some seconds, from a client on a core of its own.

        Args:
            busy: the server may refuse, which is counted.

        Returns:
            ``cpu``: microseconds of the server's CPU a request; ``rps`` and the percentiles of
            `benchmarks.online.load`.
        """
        told = {"port": self.server.port, "path": self.path, "body": self.body.decode()}
        told |= {
            "connections": connections,
            "seconds": seconds,
            "rate": rate,
            "cpu": cpu,
            "busy": busy,
        }
        before = self.server.cpu_us()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.online.load", json.dumps(told)],
            check=True,
            capture_output=True,
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": str(HERE)},
        )
        measured: dict[str, float] = json.loads(done.stdout)
        used = self.server.cpu_us() - before
        return {"cpu": used / measured["count"], **measured}


@contextmanager
def forebay(catalog: Catalog, folder: Path, cpus: str, workers: int = 1) -> Iterator[Server]:
    """`forebay serve` of a catalog."""
    path = folder / f"catalog_{len(catalog.views)}_{workers}.json"
    path.write_text(catalog.dumps())
    command = ["benchmarks.online.forebay_server", str(path), cpus, str(workers)]
    with _process(command, subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"serving on" not in (line := process.stderr.readline()):
            if not line:
                raise RuntimeError("the server ended")
        port = int(line.rsplit(b":", 1)[1])
        _wait(f"http://127.0.0.1:{port}/health")
        yield Server(port, (process.pid, *_children(process.pid)))


@contextmanager
def bare(bodies: dict[str, bytes], folder: Path, cpu: int) -> Iterator[Server]:
    """An ASGI application on uvloop and httptools that answers bytes which it holds already."""
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    with _process(["benchmarks.online.bare_app", str(folder), str(cpu)]) as process:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()), (process.pid,))


@contextmanager
def feast(python: Path, folder: Path, cpu: int) -> Iterator[Server]:
    """Feast's feature server on Redis, of a venv that holds both."""
    folder.mkdir()
    script = HERE / "benchmarks" / "online" / "feast_server.py"
    with subprocess.Popen(
        [str(python), str(script), str(folder), str(cpu)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"Feast did not start: see {folder}/feast.log")
        told = json.loads(line)
        try:
            yield Server(told["port"], tuple(told["pids"]))
        finally:
            process.stdin.close()


@contextmanager
def _process(module: list[str], stderr: Any = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _wait(url: str) -> None:
    """Return once the URL answers, whatever it says."""
    for _ in range(300):
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _cpu_us(pid: int) -> float:
    # The second field, the command's name, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_US
