"""From an event produced to its features readable over HTTP: broker, stream and server on one machine.

    python benchmarks/stream_freshness.py [--rates 1000 10000] [--seconds 300] [--every 0.25] [--realtime]

The flights example at the present clock, its year of flights loaded: six views, of which four read the
topic's table. A producer sends flights at a steady rate, and twenty times a second one of an aircraft
and a route of their own; a client asks the server for that aircraft and that route again and again. An
event is readable once both views show it: the aircraft's last delay is its number, and the route counts
it. Exits with 1 where the 99th percentile misses its aim, or an event is never seen.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forebay.dbt_project.project import Project
from forebay.example_flights.ingest_flights import ingest_flights
from forebay.scaffold.example import copy_example
from lakehouse.lake import open_lake
from tests.servers.kafka import KafkaServer, kafka_server
from tests.servers.process import free_port, listens

TOPIC = "flights"
PROBES_A_SECOND = 20
#: What the issue aims at, seconds of the 99th percentile by events a second.
AIMS = {1_000: 1.0, 10_000: 2.0}
_FEATURES = ["aircraft_last_flight__last_dep_delay", "route_history__flights_30d"]


@dataclass
class Probe:
    """Events with numbers, when each was produced, and when it could be read.

    Attributes:
        base: how many events of the route there were before the run.
    """

    produced: dict[int, float] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    seen: int = 0
    base: int = 0

    def saw(self, number: int, at: float) -> None:
        for n in range(self.seen + 1, number + 1):
            if n in self.produced:
                self.latencies.append(at - self.produced[n])
        self.seen = max(self.seen, number)


def flight(number: int, tail: str, origin: str, dest: str, delay: int) -> bytes:
    """A flight that has just come in."""
    now = datetime.now(UTC)
    row = {
        "flight_id": number,
        "carrier": "DL",
        "flight": number % 9000,
        "tailnum": tail,
        "origin": origin,
        "dest": dest,
        "scheduled_at": (now - timedelta(hours=1)).isoformat(),
        "departed_at": now.isoformat(timespec="microseconds"),
        "arrived_at": now.isoformat(timespec="microseconds"),
        "dep_delay": delay,
        "arr_delay": delay % 60,
        "air_time": 90,
        "distance": 700,
        "sched_dep_time": 900,
        "sched_arr_time": 1100,
        "dep_time": 905,
        "arr_time": 1105,
    }
    return json.dumps(row).encode()


def produce(kafka: KafkaServer, rate: int, seconds: float, probe: Probe, first: int) -> int:
    """Send flights at a steady rate; the next number."""
    producer = kafka.producer(**{"linger.ms": 5, "queue.buffering.max.messages": 200_000})
    begun, number, probes = time.perf_counter(), first, 0
    while (passed := time.perf_counter() - begun) < seconds:
        while probes < passed * PROBES_A_SECOND:
            probes += 1
            probe.produced[probes] = time.perf_counter()
            producer.produce(TOPIC, flight(number, "PROBE", "PRB", "PRB", probe.base + probes))
            number += 1
        due = int(passed * (rate - PROBES_A_SECOND)) + first
        while number < due:
            tail, dest = f"N{number % 4000}", f"D{number % 100:02d}"
            producer.produce(TOPIC, flight(number, tail, "JFK", dest, number % 50))
            number += 1
            if number % 500 == 0:
                producer.poll(0)
        producer.poll(0)
        time.sleep(0.004)
    producer.flush(60)
    return number


def ask(port: int) -> Iterator[tuple[int, int]]:
    """What the server shows of the probe: the aircraft's last number, and the route's count."""
    body = json.dumps(
        {
            "features": [f.replace("__", ":") for f in _FEATURES],
            "entities": {"tailnum": ["PROBE"], "origin": ["PRB"], "dest": ["PRB"]},
        }
    )
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        connection.request(
            "POST", "/get-online-features", body, {"content-type": "application/json"}
        )
        answer = json.load(connection.getresponse())
        names = answer["metadata"]["feature_names"]
        values = {n: r["values"][0] for n, r in zip(names, answer["results"], strict=True)}
        last, count = (int(values.get(n) or values.get(n.split("__")[1]) or 0) for n in _FEATURES)
        yield last, count


def watch(port: int, probe: Probe, stop: threading.Event) -> None:
    """Ask the server until it is told to stop."""
    for last, count in ask(port):
        probe.saw(min(last, count) - probe.base, time.perf_counter())
        if stop.is_set():
            return
        time.sleep(0.01)


def make(folder: Path, kafka: KafkaServer) -> Project:
    """The flights example at the present clock, fed by a topic."""
    copy_example(folder, {})
    _edit(folder / "dbt_project.yml", '  forebay_now: "2013-12-20 12:00:00+00:00"\n', "  none: 0\n")
    _edit(
        folder / "profiles/profiles.yml",
        "            online: lmdb://online.lmdb\n",
        "            online: lmdb://online.lmdb\n"
        f'            kafka: {{bootstrap.servers: "{kafka.address}"}}\n',
    )
    project = Project(folder)
    ingest_flights(open_lake(project.lake))
    subprocess.run(_command("compile"), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return project


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{path} is not as this benchmark takes it: {old!r}")
    path.write_text(text.replace(old, new))


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "forebay", *words]


@contextmanager
def _running(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    log = (folder / f"{words[0]}.log").open("wb")
    process = subprocess.Popen(
        _command(*words), cwd=folder, stdout=log, stderr=log, env={**os.environ}
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        log.close()


def measure(
    project: Project, kafka: KafkaServer, given: argparse.Namespace, rate: int, first: int
) -> tuple[Probe, int, float]:
    """Latencies at a rate; the next number; the stream's CPU seconds a second."""
    port, seconds, every = free_port(), given.seconds, given.every
    stop = threading.Event()
    with _running(project.root, "stream", "--every", str(every), "--checkpoint", "86400") as stream:
        log = project.root / "stream.log"
        while "views at" not in log.read_text():
            if stream.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.2)
        with _running(project.root, "serve", "--port", str(port)) as server:
            while not listens(port):
                if server.poll() is not None:
                    raise SystemExit((project.root / "serve.log").read_text())
                time.sleep(0.1)
            _, base = next(ask(port))
            probe = Probe(base=base)
            watcher = threading.Thread(target=watch, args=(port, probe, stop))
            watcher.start()
            if given.realtime:
                for pid in (stream.pid, server.pid, kafka.pid, os.getpid()):
                    subprocess.run(["chrt", "-r", "-a", "-p", "10", str(pid)], check=True)
            begun = _cpu(stream.pid)
            number = produce(kafka, rate, seconds, probe, first)
            used = (_cpu(stream.pid) - begun) / seconds
            deadline = time.monotonic() + 60
            while probe.seen < max(probe.produced) and time.monotonic() < deadline:
                time.sleep(0.05)
            stop.set()
            watcher.join()
    return probe, number, used


def _steps(project: Project) -> str:
    """What the stream said of its last steps."""
    lines = (project.root / "stream.log").read_text().splitlines()
    return ", ".join(line.rpartition(" in ")[2] for line in lines if "views at" in line)[-40:]


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--every", type=float, default=0.25)
    parser.add_argument("--realtime", action="store_true", help="go before other work here")
    given = parser.parse_args(arguments)
    missed = False
    with tempfile.TemporaryDirectory(prefix="forebay-fresh-") as made, kafka_server() as kafka:
        kafka.create(TOPIC)
        project = make(Path(made) / "flights", kafka)
        number = 1_000_000
        for rate in given.rates:
            probe, number, used = measure(project, kafka, given, rate, number)
            found = sorted(probe.latencies)
            cuts = statistics.quantiles(found, n=100) if len(found) > 2 else [0.0] * 99
            print(
                f"{rate:>6,} events/s for {given.seconds:.0f} s, commits every {given.every} s: "
                f"readable after p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, most {found[-1]:.2f} s "
                f"(last steps {_steps(project)}; {len(found)} of {len(probe.produced)} probes; stream {used:.2f} cores)",
                flush=True,
            )
            missed |= len(found) < len(probe.produced) or cuts[98] > AIMS.get(rate, 2.0)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
