"""A world whose topic Spark reads: in this process, or in one of its own that may be killed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from feature_specs.stream_options import StreamEntry
from forebay.engines.spark_kafka import kafka_options
from lakehouse.engines.spark import SparkEngine, SparkSettings
from lakehouse.stream.broker import Broker
from lakehouse.stream.feed import Feed
from lakehouse.stream.run import Pace
from lakehouse.stream.spark_feed import SparkFeed, run_on_spark
from tests.forebay.engines.conftest import QUICK
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.stream.world import TABLE, World, values_of
from tests.servers.process import find_jdk
from tests.servers.spark import iceberg_jars

_MODULE = "tests.lakehouse.stream.spark_world"
CAUGHT_UP = Pace(until_caught_up=True)
#: What a process that dies has sent itself between its first and its second commit.
MORE = {"before": range(1000, 1030), "after": range(2000, 2030)}


@contextmanager
def spark_over(folder: Path) -> Iterator[SparkEngine]:
    """A session over a world's lake."""
    os.environ["JAVA_HOME"] = str(find_jdk(17))
    jars = [str(jar) for jar in iceberg_jars()]
    uri, warehouse = f"sqlite:///{folder}/lake/catalog.db", (folder / "lake" / "warehouse").as_uri()
    lake = {"name": "lake", "type": "sql", "uri": uri, "warehouse": warehouse}
    engine = SparkEngine(SparkSettings(lake, jars=jars, conf=QUICK))
    try:
        yield engine
    finally:
        engine.close()


def catch_up_on_spark(
    spark: SparkEngine, world: World, after: Callable[[SparkFeed], None] = lambda feed: None
) -> SparkFeed:
    """Stream until the topic's end."""
    feed = SparkFeed(spark, world.feed(), kafka_options(world.settings), CAUGHT_UP)
    run_on_spark([feed], threading.Event(), lambda: after(feed))
    return feed


def run_until_killed(world: World, dies: str) -> str:
    """Stream on Spark in a process of its own, which dies ``before`` or ``after`` its second commit.

    Returns what it said; each commit is a line.
    """
    given = json.dumps([str(world.folder), world.settings, world.topic, dies])
    done = subprocess.run(
        [sys.executable, "-m", _MODULE, given],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    return done.stdout


def _stream(folder: Path, settings: dict[str, str], topic: str, dies: str) -> None:
    """What `run_until_killed` runs: a batch, then one more of what is sent after it."""
    lake, sender = (
        local_lake(folder),
        Producer({"bootstrap.servers": settings["bootstrap.servers"]}),
    )
    entry = StreamEntry("raw.clicks", TABLE, topic, dead_letter_topic=f"{topic}.bad")
    commits, commit = itertools.count(1), type(lake).commit_table

    def commit_table(self: Any, *given: Any) -> Any:
        number = next(commits)
        if number == 2 and dies == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = commit(self, *given)
        print("committed", flush=True)
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        for value in values_of(MORE[dies]):
            sender.produce(topic, value, partition=1)
        assert sender.flush(60) == 0
        return made

    type(lake).commit_table = commit_table  # type: ignore[method-assign, assignment]
    with spark_over(folder) as spark:
        feed = SparkFeed(
            spark, Feed(entry, lake, Broker(settings)), kafka_options(settings), Pace(0.1)
        )
        run_on_spark([feed], threading.Event(), lambda: None)


if __name__ == "__main__":
    where, given, name, how = json.loads(sys.argv[1])
    _stream(Path(where), given, name, how)
