"""Find what the project's sources declare of a table that files are loaded into, without dbt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_yaml import read_yaml


@dataclass(frozen=True)
class DeclaredSource:
    """What a source in a project's YAML says of a table.

    Attributes:
        path: the YAML file.
        timezone: of its local times (``meta.timezone``); None where none is named.
        types: ``data_type`` of the columns that have one.
        partition_by, sort_by: of its meta, as they stand.
    """

    path: Path
    timezone: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    partition_by: object = None
    sort_by: object = None


def declared_sources(project: Project, table: str) -> Iterator[DeclaredSource]:
    """The sources that read an Iceberg table, in the order of their files.

    A file that is not plain YAML declares nothing here; compiling tells what is wrong with it.
    """
    folders = project.settings.get("model-paths") or ["models"]
    for folder in folders:
        for pattern in ("*.yml", "*.yaml"):
            for path in sorted((project.root / str(folder)).rglob(pattern)):
                yield from (found for name, found in _sources(path) if name == table)


def _sources(path: Path) -> Iterator[tuple[str, DeclaredSource]]:
    """The Iceberg tables of a file's sources, and what it says of them."""
    try:
        sources = read_yaml(path).get("sources")
    except ForebayError:
        return
    for source in _mappings(sources):
        for table in _mappings(source.get("tables")):
            meta = {**_meta(source), **_meta(table)}
            schema = source.get("schema") or source.get("name")
            name = table.get("identifier") or table.get("name")
            zone = meta.get("timezone")
            found = DeclaredSource(
                path,
                zone if isinstance(zone, str) else None,
                dict(_types(table.get("columns"))),
                meta.get("partition_by"),
                meta.get("sort_by"),
            )
            yield str(meta.get("iceberg_table") or f"{schema}.{name}"), found


def _types(columns: object) -> Iterator[tuple[str, str]]:
    for column in _mappings(columns):
        name, kind = column.get("name"), column.get("data_type")
        if isinstance(name, str) and isinstance(kind, str) and "{" not in kind:
            yield name, kind


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    config = node.get("config")
    nested = config.get("meta") if isinstance(config, dict) else None
    return {**(node.get("meta") or {}), **(nested or {})}


def _mappings(value: object) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
