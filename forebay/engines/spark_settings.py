"""The Spark of a project: the section `spark` of the forebay plugin's config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_specs.errors import ForebayError, did_you_mean
from forebay.dbt_project.project import Project
from lakehouse.engines.spark import SparkSettings

_LISTS = ("jars", "packages")
_KNOWN = ("master", *_LISTS, "conf")


def spark_settings(project: Project) -> SparkSettings:
    """How to start the Spark that the project's profile describes; by default one in this machine.

    Raises:
        ForebayError: the section says something that it cannot.
    """
    target = project.profile_target
    place = f"{target.file}, `spark` of the forebay plugin in target {target.name!r}"
    section = _mapping(project.plugin.get("spark"), "spark", place)
    for key in section:
        if key not in _KNOWN:
            raise ForebayError(
                f"{key!r} is not a setting", where=place, hint=did_you_mean(str(key), _KNOWN)
            )
    conf = _mapping(section.get("conf"), "conf", place)
    jars, packages = (_texts(section.get(key), key, place) for key in _LISTS)
    return SparkSettings(
        lake=project.lake,
        master=str(section.get("master") or "local[*]"),
        jars=[jar if "://" in jar else str(project.root / jar) for jar in jars],
        packages=packages,
        conf={str(key): _text(value) for key, value in conf.items()},
        place=place,
    )


def _mapping(value: Any, name: str, place: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ForebayError(
            f"{name!r} is not a mapping",
            where=place,
            hint="write such as `spark: {conf: {spark.driver.memory: 8g}}`",
        )
    return value


def _texts(value: Any, name: str, place: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ForebayError(
            f"{name!r} is not a list", where=place, hint=f"write such as `{name}: [{value}]`"
        )
    return [str(item) for item in value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
