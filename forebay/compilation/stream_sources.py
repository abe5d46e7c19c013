"""The sources of a project that topics feed: what compile finds of them, and keeps for `forebay stream`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog as Lake

from feature_specs.errors import ForebayError, SpecError, UnknownNameError, did_you_mean, raise_all
from feature_specs.leaf_nodes import meta_of
from feature_specs.manifest import Manifest
from feature_specs.quote import quoted
from feature_specs.stream_options import StreamEntry, read_stream
from forebay.dbt_project.project import Project
from lakehouse.commit import commit_rows
from lakehouse.ingest.read_columns import known_type
from lakehouse.ingest.read_typed import stored_type
from lakehouse.lake import table_names
from lakehouse.write_text import write_if_changed

_EXAMPLE = "config: {meta: {stream: {topic: clicks}}}"


def declared_streams(manifest: Manifest) -> dict[str, StreamEntry]:
    """The sources with ``meta.stream``, by name.

    Raises:
        SpecError: what one says is wrong, or two feed one table, or from one topic; all of it.
    """
    found: dict[str, StreamEntry] = {}
    wrong: list[ForebayError] = []
    taken: dict[str, StreamEntry] = {}
    for unique_id, node in sorted(manifest.sources.items()):
        meta = {**(node.get("source_meta") or {}), **meta_of(node)}
        if "stream" not in meta:
            continue
        table = manifest.iceberg_table(unique_id)
        try:
            entry = read_stream(manifest.root, node, table, meta["stream"])
            for what in (f"table {table}", f"topic {entry.topic!r}"):
                other = taken.setdefault(what, entry)
                if other is not entry:
                    raise SpecError(
                        f"sources {other.name} and {entry.name} both stream {what}",
                        where=entry.where,
                        hint="leave meta.stream at one of them",
                    )
        except ForebayError as error:
            wrong.append(error)
            continue
        found[entry.name] = entry
    raise_all(wrong)
    return found


def create_tables(lake: Lake, manifest: Manifest, streams: Mapping[str, StreamEntry]) -> None:
    """Create the tables of streamed sources that have none yet, of the columns that YAML declares.

    Those that declare no types are left: `forebay ingest` may make them of a file's rows.
    """
    known = set(table_names(lake))
    by_name = {f"{n['source_name']}.{n['name']}": n for n in manifest.sources.values()}
    for entry in streams.values():
        columns = list(by_name[entry.name]["columns"].values())
        if entry.table in known or not columns or any(not c.get("data_type") for c in columns):
            continue
        with duckdb.connect() as connection:
            types = {
                c["name"]: stored_type(known_type(connection, c["name"], c["data_type"]))
                for c in columns
            }
            empty = ", ".join(f"cast(null as {k}) as {quoted(n)}" for n, k in types.items())
            rows = connection.sql(f"select {empty} limit 0").to_arrow_table()
        commit_rows(lake, entry.table, rows, mode="append")


def keep_streams(project: Project, streams: Mapping[str, StreamEntry]) -> None:
    """Write what was found beside the catalog."""
    known = {name: asdict(entry) for name, entry in streams.items()}
    write_if_changed(_path(project), json.dumps(known, indent=1) + "\n")


def chosen_streams(project: Project, names: Sequence[str]) -> list[StreamEntry]:
    """The sources that were named, or all that topics feed.

    Raises:
        ForebayError: nothing is compiled, or none is declared.
        UnknownNameError: no source of that name is fed by a topic.
    """
    path = _path(project)
    try:
        raw: dict[str, dict[str, Any]] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        raise ForebayError(
            "nothing is compiled yet", where=str(path), hint="run `forebay compile`"
        ) from None
    known = {n: StreamEntry(**{**e, "dedupe_by": tuple(e["dedupe_by"])}) for n, e in raw.items()}
    if not known:
        raise SpecError(
            "no source is fed by a topic",
            where=str(project.root),
            hint=f"add such as `{_EXAMPLE}` to a source, and run `forebay compile`",
        )
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"no source {name!r} is fed by a topic",
                where="SOURCE",
                hint=did_you_mean(name, known),
            )
    return [known[n] for n in names or known]


def _path(project: Project) -> Path:
    return project.folder / "streams.json"
