"""The main job from raw data to an answered lookup, on a year of real flights."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import parse_instant
from forebay.builds.advance import advance_project
from forebay.commands.build import build
from forebay.dbt_project.find_root import CLOCK_PLACE
from forebay.dbt_project.project import Project
from forebay.example_flights.ingest_flights import flights_folder, ingest_flights
from forebay.scaffold.example import copy_example, example_root
from forebay.terminal import progress, say, table
from forebay.training import export_training_set
from lakehouse.lake import open_lake
from serving.sync import sync
from serving.verify import VerifyReport, verify

SERVICE = "arrival_delay_v1"
STEPS = 30
STEP = timedelta(hours=1)
LEAST_NON_NULL = 0.9
#: A file in a folder that a demo made.
MARKER = ".forebay-demo"
#: An aircraft, its airline and a route that are busy in December 2013.
ENTITIES = {"origin": ["JFK"], "dest": ["LAX"], "carrier": ["DL"], "tailnum": ["N327AA"]}
LOOKUP = {"feature_service": SERVICE, "full_feature_names": True, "entities": ENTITIES}


def run_demo(path: Path) -> None:
    """Make the flights project, then ingest, build, step, train, sync, look up and verify.

    Args:
        path: a new or an empty folder, or one that an earlier demo made; in a checkout of the
            repository also its root, which is the example itself.

    Raises:
        ForebayError: something else is there, a stage failed, a step differs, fewer than 90%
            of the online values are non-null, or online differs from offline.
    """
    flights_folder()
    say("this takes some minutes (about 2 on two idle cores), most of them in the build")
    project = Project(make_project(path.absolute()))
    started = time.monotonic()
    end = parse_instant(str(project.now), where=CLOCK_PLACE)
    for name, stage in (
        ("ingest a year of flights into Iceberg", _ingest),
        (f"build as of {STEPS} hours before {end.isoformat()}", lambda p: _build(p, end)),
        (
            f"step the features through {STEPS} hours, each compared with the features computed in full",
            lambda p: _step(p, end),
        ),
        ("point-in-time training set", _train),
        ("online store", _sync),
        ("verify online = offline", _verify),
        ("a live lookup", _look_up),
    ):
        _stage(name, started, lambda stage=stage: stage(project))  # type: ignore[misc]
    say(f"\ndone in {time.monotonic() - started:.0f} s. Next:\n")
    say(next_steps(project.root))


def make_project(path: Path) -> Path:
    """The folder of a demo: made anew, or one that an earlier demo made.

    Raises:
        ForebayError: something else is there.
    """
    if path.resolve() == example_root().resolve() and (path / "pyproject.toml").exists():
        return path
    if (path / MARKER).exists():
        say(f"going on with the demo in {path}")
        return path
    try:
        copy_example(path, {MARKER: b"made by `forebay demo`, which may run here again\n"})
    except ForebayError as error:
        raise ForebayError(
            f"{error.what}, and no demo made it",
            where=error.where,
            hint="name a new folder: `forebay demo PATH`",
        ) from None
    say(f"made {path}")
    return path


def next_steps(root: Path) -> str:
    """What to type after the demo, as it can be pasted into a shell in this folder."""
    typed = "forebay"
    script = Path(sys.executable).with_name("forebay")
    if shutil.which("forebay") != str(script) and script.exists():
        typed = shlex.quote(str(script))
    change = "" if root == Path.cwd() else f"  cd {shlex.quote(str(root))}\n"
    body = json.dumps(LOOKUP)
    return (
        f"{change}  {typed} preview carrier_arrivals --key carrier=DL\n  {typed} serve\n\n"
        "and while it serves, in another terminal:\n\n"
        f"  curl -s localhost:6566/get-online-features -d '{body}'"
    )


def _stage(name: str, started: float, work: Callable[[], None]) -> None:
    say(f"\n[{time.monotonic() - started:5.1f} s] {name}")
    work()


def _ingest(project: Project) -> None:
    with progress() as report:
        loaded = ingest_flights(open_lake(project.lake), report)
    for name, done in loaded.tables.items():
        facts = ", ".join(f"{n} {k.replace('_', ' ')}" for k, n in done.facts.items())
        say(f"  {name}: {done.rows} rows" + (f" ({facts})" if facts else ""))


def _build(project: Project, end: Any) -> None:
    # The demo starts anew each time; the lake's feature tables remember where they stood.
    build(project, now=(end - STEPS * STEP).isoformat(), full_refresh=True, quiet=True)
    say(f"  {len(project.catalog().views)} feature views, their tests, and a training set")


def _step(project: Project, end: Any) -> None:
    with progress() as report:
        steps = list(advance_project(project, [], end, STEPS, check=True, progress=report))
    for failed in (s for s in steps if s.error):
        raise DataError(str(failed.error), where=failed.view, hint="run `forebay build`")
    wrong = [s for s in steps if s.differing]
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(steps)} steps differ from the features computed in full",
            where=wrong[0].view,
            hint="report it: the incremental variant is wrong",
        )
    changed = sum(s.advance.upserts + s.advance.deletes for s in steps if s.advance)
    say(
        f"  {len(steps)} steps of {len(project.catalog().views)} views, {changed} rows changed, "
        "every step equal to the features computed in full"
    )


def _train(project: Project) -> None:
    made = export_training_set(project, SERVICE, project.root / "target" / f"{SERVICE}.parquet")
    say(f"  {made.rows} rows, {made.columns} columns: {made.out}")


def _sync(project: Project) -> None:
    for done in sync(project.catalog()):
        if done.error:
            raise DataError(done.error, where="sync", hint="run `forebay build`")
        say(f"  {done.view}: {done.rows} rows, {done.action}")


def _verify(project: Project) -> None:
    reports = verify(project.catalog())
    for error in (r.error for r in reports if r.error):
        raise DataError(error, where="verify", hint="run `forebay build`")
    rows = [(r.view, r.online_rows, r.values, r.different + r.missing + r.extra) for r in reports]
    say(table(rows, ("  view", "rows", "values", "differences")).replace("\n", "\n  "))
    for report in reports:
        if not report.equal:
            raise DataError(
                f"online differs from offline: {report.examples[:1]}",
                where=report.view,
                hint="run `forebay sync`, then `forebay verify`",
            )
    share = non_null_share(reports)
    say(f"  {share:.1%} of the online values are non-null")
    if share < LEAST_NON_NULL:
        raise DataError(
            f"only {share:.1%} of the online values are non-null",
            where="online store",
            hint="look at the feature tables: a source may be empty at this instant",
        )


def non_null_share(reports: list[VerifyReport]) -> float:
    """Of all values online, the share that is not null."""
    values = filled = 0.0
    for report in reports:
        for share in report.non_null.values():
            values += report.online_rows
            filled += report.online_rows * (share or 0.0)
    return filled / values if values else 0.0


def _look_up(project: Project) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "forebay", "serve", "--port", str(port)]
    log = project.root / "target" / "serve.log"
    with log.open("w") as sink:
        server = subprocess.Popen(
            command, cwd=project.root, stdout=sink, stderr=sink, env={**os.environ}
        )
        try:
            answer, took = _ask(f"http://127.0.0.1:{port}", server, log)
        finally:
            server.terminate()
            server.wait(timeout=20)
    names = answer["metadata"]["feature_names"]
    rows = [
        (n, r["values"][0], r["statuses"][0]) for n, r in zip(names, answer["results"], strict=True)
    ]
    say("  POST /get-online-features")
    say("  " + table(rows, ("feature", "value", "status")).replace("\n", "\n  "))
    say(f"  {len(names)} values in {took * 1000:.1f} ms")


def _ask(url: str, server: subprocess.Popen[bytes], log: Path) -> tuple[dict[str, Any], float]:
    body = json.dumps(LOOKUP).encode()
    request = urllib.request.Request(f"{url}/get-online-features", body, method="POST")
    request.add_header("content-type", "application/json")
    for _ in range(100):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
            continue
        urllib.request.urlopen(request, timeout=5).close()  # the first opens what later ones use
        begun = time.perf_counter()
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.load(response), time.perf_counter() - begun
    raise DataError("the lookup API did not start", where=str(log), hint="the log says why")
