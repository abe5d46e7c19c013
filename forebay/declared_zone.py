"""Find the zone that the project's sources declare for a table's local times, without dbt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError
from forebay.project import Project
from forebay.read_yaml import read_yaml


def declared_zone(project: Project, table: str) -> tuple[Path, str] | None:
    """The YAML file and the zone of the source that reads a table, where ``meta.timezone`` says it.

    A file that is no plain YAML declares nothing here; compiling tells what is wrong with it.
    """
    folders = project.settings.get("model-paths") or ["models"]
    for folder in folders:
        for pattern in ("*.yml", "*.yaml"):
            for path in sorted((project.root / str(folder)).rglob(pattern)):
                for named, zone in _zones(path):
                    if named == table:
                        return path, zone
    return None


def _zones(path: Path) -> Iterator[tuple[str, str]]:
    """The Iceberg tables of a file's sources, and their zones."""
    try:
        sources = read_yaml(path).get("sources")
    except ForebayError:
        return
    for source in _mappings(sources):
        for table in _mappings(source.get("tables")):
            meta = {**_meta(source), **_meta(table)}
            schema = source.get("schema") or source.get("name")
            name = table.get("identifier") or table.get("name")
            if isinstance(meta.get("timezone"), str):
                yield str(meta.get("iceberg_table") or f"{schema}.{name}"), meta["timezone"]


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    config = node.get("config")
    nested = config.get("meta") if isinstance(config, dict) else None
    return {**(node.get("meta") or {}), **(nested or {})}


def _mappings(value: object) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
