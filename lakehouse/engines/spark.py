"""Spark on the lake's own tables, its driver in a JVM beside this process."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import IO, Any

import pyarrow as pa
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from feature_specs.errors import DataError, ForebayError, first_line
from feature_specs.progress import Share
from lakehouse.engines.spark_catalog import catalog_conf, catalog_key
from lakehouse.engines.table_names import TableNames
from lakehouse.watch_share import EVERY

#: What Spark's own pages list these statements under.
SOURCE = "forebay"
#: The Maven coordinates of what Spark reads Iceberg by, and of a catalog's driver.
RUNTIME = "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0"
SQLITE, POSTGRES = "org.xerial:sqlite-jdbc:3.54.1.0", "org.postgresql:postgresql:42.7.8"
#: Settings on which the meaning of a statement depends; no profile changes them.
_MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.caseSensitive": "false",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.sources.partitionOverwriteMode": "static",
}
#: Those of a session that this process starts; a profile may change them.
_OWN = {
    "spark.ui.enabled": "false",
    "spark.log.level": "OFF",
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
}
_LOCAL = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
#: The conditions by which Spark says that a table is not in its catalog.
_NOT_THE_LAKE = {"TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"}


@dataclass(frozen=True)
class SparkSettings:
    """How a Spark is started, and the lake that it reads.

    Attributes:
        lake: what opens the lake, its ``name`` among it.
        master: Spark's own word: ``local[*]``, ``spark://host:7077``, ``yarn``, ``k8s://...``
        jars: files on Spark's class path.
        packages: Maven coordinates, which Spark fetches.
        conf: further settings, for the session.
        place: where all of it is written, for errors.
    """

    lake: Mapping[str, str] = field(repr=False)
    master: str = "local[*]"
    jars: Sequence[str] = ()
    packages: Sequence[str] = ()
    conf: Mapping[str, str] = field(default_factory=dict, repr=False)
    place: str = "profiles.yml"


#: Of the statements of all engines of this process.
_numbers = count(1)


class SparkEngine:
    """A session of one run, at UTC, in ANSI mode. Statements run in a thread of its own.

    So Ctrl-C reaches this process's thread at once, and waits there until Spark has given up.
    """

    def __init__(self, settings: SparkSettings, run: str = "") -> None:
        self.names = TableNames("spark", settings.lake["name"])
        self._settings = settings
        self.place = settings.place
        self._run_name = f"{SOURCE} {run}".strip()
        self._group = ""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=SOURCE)
        try:
            self._session = self._worker.submit(_open_session, settings).result()
            self._run(f"show namespaces in {self.names.column(self.names.catalog)}", None)
        except BaseException:
            self._worker.shutdown(wait=False, cancel_futures=True)
            raise

    def run(self, sql: str, report: Share | None = None) -> list[tuple[Any, ...]]:
        return self._run(sql, report)[1]

    def use(self, work: Callable[[SparkSession], Any]) -> Any:
        """What a function of the session returns, called in the thread that talks to Spark."""
        return self._wait(lambda: work(self._session), None)

    def compute(self, frame: Callable[[SparkSession], DataFrame], about: str) -> pa.Table:
        """The rows of a data frame, collected as those of a statement are.

        Args:
            frame: makes it of the session, in the thread that talks to Spark.
            about: what Spark's own pages list it under.
        """
        return self._wait(lambda: self._collect(frame, about), None)

    def columns(self, sql: str) -> dict[str, str]:
        return self._run(f"select * from (\n{sql}\n) limit 0", None)[0]

    def _run(self, sql: str, report: Share | None) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
        found, types = self._wait(lambda: self._statement(sql), report)
        columns = [column.to_pylist() for column in found.columns]
        return types, list(zip(*columns, strict=True))

    def _wait(self, work: Callable[[], Any], report: Share | None) -> Any:
        """Do it in the thread that talks to Spark, and wait for it."""
        # Engines of one process share its Spark, where a group that is cancelled stays so.
        self._group = f"{self._run_name} {next(_numbers)}"
        running = self._worker.submit(work)
        try:
            while not wait([running], EVERY).done:
                if report is not None:
                    report(self._share())
            found = running.result()
        except (PySparkException, Py4JError) as error:
            raise _explained(error, self._settings) from None
        except BaseException:
            self._stop(running)
            raise
        if report is not None:
            report(1.0)
        return found

    def _statement(self, sql: str) -> tuple[pa.Table, dict[str, str]]:
        types: dict[str, str] = {}

        def frame(session: SparkSession) -> DataFrame:
            made = session.sql(sql)
            types.update({f.name: f.dataType.simpleString() for f in made.schema.fields})
            return made

        return self._collect(frame, sql), types

    def _collect(self, frame: Callable[[SparkSession], DataFrame], about: str) -> pa.Table:
        context = self._session.sparkContext
        context.setJobGroup(self._group, about[:200], interruptOnCancel=True)
        return frame(self._session).toArrow()

    def _share(self) -> float:
        """The share of tasks that are done, of the stages that Spark has planned by now."""
        tracker = self._session.sparkContext.statusTracker()
        jobs = [tracker.getJobInfo(n) for n in tracker.getJobIdsForGroup(self._group)]
        stages = {n for job in jobs if job is not None for n in job.stageIds}
        known = [s for s in map(tracker.getStageInfo, stages) if s is not None]
        tasks = sum(stage.numTasks for stage in known)
        return min(sum(s.numCompletedTasks for s in known) / tasks, 0.99) if tasks else 0.0

    def _stop(self, running: Future[Any]) -> None:
        """End a statement, and see it end: it would commit its table after that is dropped."""
        self.cancel()
        wait([running])

    def kill_of(self, run: str) -> None:
        """The driver ends with the process that started it, and its jobs with the driver."""

    def cancel(self) -> None:
        with suppress(Py4JError, PySparkException):
            # Those too that a statement which is still being planned has not started.
            self._session.sparkContext._jsc.sc().cancelJobGroupAndFutureJobs(self._group)

    def close(self) -> None:
        """End what runs. The JVM stays for the next run of this process, and ends with it."""
        self.cancel()
        self._worker.shutdown()


_starting = threading.Lock()


def _open_session(settings: SparkSettings) -> SparkSession:
    """A session with settings of its own, on this process's Spark, which is started if need be.

    It is started in a thread that is not the main one, where pyspark leaves Ctrl-C alone.
    """
    conf = dict(settings.conf)
    if catalog_key(settings.lake["name"]) not in conf:
        conf = {**catalog_conf(settings.lake, settings.place), **conf}
    # What opens a catalog may be a credential, which the command line of a JVM would show.
    later = {key: value for key, value in conf.items() if key.startswith("spark.sql.catalog.")}
    with _starting:
        context = SparkContext._active_spark_context
        if context is None or context._jsc is None:
            first = {key: value for key, value in conf.items() if key not in later}
            context = _start(settings, first)
        session: SparkSession = SparkSession(context).newSession()
    default = {"spark.sql.defaultCatalog": settings.lake["name"]}
    for key, value in {**later, **_MEANING, **default}.items():
        session.conf.set(key, value)
    return session


def _start(settings: SparkSettings, given: Mapping[str, str]) -> SparkContext:
    conf = SparkConf().setMaster(settings.master).setAppName(SOURCE)
    local = _LOCAL if settings.master.startswith("local") else {}
    jars = {"spark.jars": settings.jars, "spark.jars.packages": settings.packages}
    listed = {key: ",".join(values) for key, values in jars.items() if values}
    for key, value in {**_OWN, **local, **listed, **given}.items():
        conf.set(key, value)
    # It would print whole stack traces beside the errors that are raised.
    PySparkLogger.getLogger("SQLQueryContextLogger").disabled = True
    with tempfile.TemporaryFile() as log:
        try:
            gateway = launch_gateway(conf, {"stdout": log, "stderr": log})
            context = SparkContext(conf=conf, gateway=gateway)
        except (PySparkException, Py4JError, OSError) as error:
            raise ForebayError(
                f"Spark does not start: {_reason(log) or first_line(error)}",
                where=settings.place,
                hint="Spark 4.1 needs Java 17 or 21 (export JAVA_HOME=...); "
                "check `master`, `jars`, `packages` and `conf` of the `spark` section",
            ) from None
    if local and not {"PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"} & os.environ.keys():
        context.pythonExec = sys.executable  # its workers have what this process has
    return context


def _reason(log: IO[bytes]) -> str:
    """The first line of a JVM's log that tells of an error."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    telling = (
        line for line in lines if re.search(r"exception|error|not found|unable to", line, re.I)
    )
    return next((line.strip()[:300] for line in telling if "WARN" not in line), "")


def _explained(error: Exception, settings: SparkSettings) -> ForebayError:
    said = explain_message(error)
    name = settings.lake["name"]
    whole = str(error)  # with all causes, of which `said` is the innermost
    if "Cannot find catalog plugin class" in whole:
        return ForebayError(
            "Spark lacks Iceberg's runtime",
            where=settings.place,
            hint=f"name it under `spark` there: `packages: [{RUNTIME}, {_driver(settings)}]`, or "
            "the files as `jars: [...]`",
        )
    if "No suitable driver" in whole:
        return ForebayError(
            "Spark lacks the JDBC driver of the lake's catalog",
            where=settings.place,
            hint=f"add it under `spark` there: `packages: [..., {_driver(settings)}]`",
        )
    condition = error.getCondition() if isinstance(error, PySparkException) else None
    if condition in _NOT_THE_LAKE or "Cannot find snapshot with ID" in said:
        return DataError(
            f"Spark: {said}",
            where=f"catalog {name}",
            hint="Spark's catalog has to be over this project's lake: see docs/engines.md",
        )
    return DataError(
        f"Spark: {said}",
        where=f"master {settings.master}",
        hint="`--engine duckdb` computes the same",
    )


def explain_message(error: Exception) -> str:
    """What went wrong, in one line; of a failed job, what its task said."""
    while (inner := getattr(error, "_cause", None)) is not None:
        error = inner  # pyspark keeps what an exception of Spark's own came of there
    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = str(cause.getMessage() or cause.toString())
    else:
        text = str(error)
    # Of an error in a worker's Python, the last line of the first trace says what it was.
    _, told, trace = text.partition("Traceback (most recent call last):")
    if told:
        raised = (line for line in trace.splitlines()[1:] if line and not line[0].isspace())
        text = next(raised, text)
    return re.sub(r"^\[\w+(\.\w+)*\] | SQLSTATE: \w+$", "", text.strip().split("\n")[0])


def _driver(settings: SparkSettings) -> str:
    return SQLITE if settings.lake.get("uri", "").startswith("sqlite") else POSTGRES
