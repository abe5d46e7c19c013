"""Check the installed versions."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from forebay.dbt_project.project import Project
from forebay.dbt_project.run_dbt import VARIABLE, dbt_program, dbt_version
from forebay.doctor.check import Diagnosis, fail, ok

CHECK = "versions"
#: Those that a bug report should name.
_NAMED = ("dbt-core", "dbt-duckdb", "duckdb", "sqlglot", "pyiceberg", "pyarrow")
#: Distributions that a dbt of its own brings instead.
_OF_DBT = ("dbt-core", "dbt-duckdb")


def check_versions() -> Iterator[Diagnosis]:
    """Check the versions of Python, forebay and its dependencies."""
    program = dbt_program()
    found: dict[str, str] = {}
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if program is not None and name in _OF_DBT:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            yield fail(CHECK, f"{name} is not installed", f"run `pip install '{requirement}'`")
            continue
        if not requirement.specifier.contains(found[name], prereleases=True):
            yield fail(
                CHECK,
                f"{name} is {found[name]}, and forebay needs {requirement.specifier}",
                f"run `pip install '{requirement}'`",
            )
    if program is not None:
        said = ".".join(map(str, dbt_version(program)))
        yield ok(CHECK, f"dbt {said}, by {program} ({VARIABLE} names it, or PATH)")
    named = ", ".join(f"{name} {found[name]}" for name in _NAMED if name in found)
    python = platform.python_version()
    yield ok(CHECK, f"forebay {version('forebay')}, Python {python} ({sys.platform}), {named}")


def check_extras(project: Project) -> Iterator[Diagnosis]:
    """Check for optional clients that the profile's target needs."""
    wanted = [("kafka", "confluent_kafka")] if "kafka" in project.plugin else []
    if project.online.startswith("cql:"):
        wanted.append(("scylla", "cassandra"))
    for extra, module in wanted:
        if find_spec(module) is None:
            yield fail(
                CHECK,
                f"the profile names {extra}, whose client is not installed",
                f"run `pip install 'forebay[{extra}]'`",
            )


def requirements() -> list[Requirement]:
    """What forebay needs, extras left out."""
    parsed = map(Requirement, requires("forebay") or ())
    return [each for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})]
