"""Connect to the engines that share a project's lake, by their names."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from feature_specs.errors import ForebayError, UnknownNameError, did_you_mean
from forebay.dbt_project.project import Project
from forebay.events.engine_used import note_engine
from forebay.load_less import load_all
from lakehouse.engines.sql_engine import SqlEngine

if TYPE_CHECKING:
    from lakehouse.engines.spark import SparkEngine

#: The engine of this process.
EMBEDDED = "duckdb"
#: Connects, given the name of a run for the engine's own pages.
ConnectTo: TypeAlias = Callable[[str], SqlEngine]


def engine_connector(name: str, project: Project) -> ConnectTo:
    """What connects to an engine, as the project's profile says. Nothing is connected to yet.

    Raises:
        UnknownNameError: no engine has that name.
        ForebayError: its client is not installed, or the profile says too little.
    """
    if name not in _CONNECTORS:
        raise UnknownNameError(
            f"no engine is named {name!r}",
            where="--engine",
            hint=did_you_mean(name, (EMBEDDED, *_CONNECTORS)),
        )
    connect_to = _CONNECTORS[name](project)

    def connect(run: str) -> SqlEngine:
        engine = connect_to(run)
        note_engine(name, engine)
        return engine

    return connect


def _trino(project: Project) -> ConnectTo:
    check_package("trino", "trino", "--engine trino")
    # It tells of an optional package that it goes without, wherever logs are shown.
    logging.getLogger("trino.auth").setLevel(logging.WARNING)
    from forebay.engines.trino_settings import trino_settings
    from lakehouse.engines.trino import TrinoEngine

    settings = trino_settings(project)
    return lambda run: TrinoEngine(settings, run)


def spark_connector(project: Project) -> Callable[[str], SparkEngine]:
    """What connects to Spark, as the project's profile says."""
    check_package("pyspark", "spark", "--engine spark")
    load_all()  # pyspark looks whether they are there
    from forebay.engines.spark_settings import spark_settings
    from lakehouse.engines.spark import SparkEngine

    settings = spark_settings(project)
    return lambda run: SparkEngine(settings, run)


def check_package(package: str, extra: str, where: str) -> None:
    """Raises ForebayError where an optional client is not installed."""
    if importlib.util.find_spec(package) is None:
        raise ForebayError(
            f"the client {package!r} is not installed",
            where=where,
            hint=f"run `pip install 'forebay[{extra}]'`",
        )


#: Each is imported only where it is used.
_CONNECTORS: Mapping[str, Callable[[Project], ConnectTo]] = {
    "trino": _trino,
    "spark": spark_connector,
}
