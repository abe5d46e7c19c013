"""Import a Feast repository: read it, translate it, write it, and say what comes next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from forebay.import_feast.place_files import Place, find_place, place_files, refuse_taken
from forebay.import_feast.read_registry import read_registry
from forebay.import_feast.registry import Registry
from forebay.import_feast.translate import Table, Translation, translate
from forebay.import_feast.write_texts import write_texts


@dataclass(frozen=True)
class Imported:
    """What an import made.

    Attributes:
        files: content by the file's path in the project.
        next: commands to type next.
    """

    registry: Registry
    translation: Translation
    place: Place
    files: dict[str, str]
    next: tuple[str, ...]


def import_repository(
    repository: Path, into: Path, *, python: str | None = None, write: bool = True
) -> Imported:
    """Write a Feast repository's sources, feature views and services into a dbt project.

    Args:
        repository: the folder of feature_store.yaml.
        into: a dbt project, or a new or empty folder, which becomes one.
        python: the Python that has Feast; by default this one.
        write: False for a dry run.

    Raises:
        ForebayError: the repository cannot be read, or a file would be written over.
    """
    place = find_place(into)
    registry = read_registry(repository, python)
    made = translate(registry)
    files = write_texts(made, registry.feast)
    if write:
        place_files(place, files)
    else:
        refuse_taken(place, files)
    placed = {f"{place.folder}/{name}": text for name, text in files.items()}
    return Imported(registry, made, place, placed, tuple(_next(repository, made, place)))


def _next(repository: Path, made: Translation, place: Place) -> list[str]:
    lines = [] if place.root.resolve() == Path.cwd() else [f"cd {shlex.quote(str(place.root))}"]
    if not place.is_new:
        lines.append("forebay init --here")
    lines += [_load(repository, made.schema, table) for table in made.tables]
    return [*lines, "forebay build", "forebay sync", "forebay serve"]


def _load(repository: Path, schema: str, table: Table) -> str:
    source = table.source
    path = source.path.removeprefix("file://")
    if path and "://" not in path:
        file = repository.absolute() / path
        if file.is_file() and source.file_format == "parquet":
            # Feast takes times without a zone for UTC.
            return f"forebay ingest {schema}.{table.name} {shlex.quote(str(file))} --timezone UTC"
    where = path or source.table or f"data source {source.name}"
    return f"# load the rows of {where} into the Iceberg table {schema}.{table.name}"
