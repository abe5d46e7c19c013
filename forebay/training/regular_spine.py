"""A spine of regular instants, for scoring in batches: every entity at every instant, once."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from feature_specs.durations import parse_duration
from feature_specs.errors import DataError, UnknownNameError, did_you_mean, first_line
from feature_specs.instants import epoch_us, microseconds, parse_instant
from feature_specs.quote import quoted
from forebay.check_query import check_query
from forebay.dbt_project.project import Project
from forebay.training.copy_to_parquet import copy_to_parquet
from forebay.training.engine import SpineFile, SpineQuery
from forebay.training.number_rows import write_numbered
from forebay.training.seal_file import sealing
from forebay.training.spine_input import read_input
from lakehouse.ingest.spine import read_rows
from lakehouse.relations import connect, define_named

#: The column of instants.
EVENT = "event_timestamp"


@dataclass(frozen=True)
class RegularSpine:
    """What was written.

    Attributes:
        entities: how many different ones there are.
        without_key: rows that were left out, since a key is null.
    """

    out: str
    rows: int
    entities: int
    instants: int
    without_key: int


@dataclass(frozen=True)
class Instants:
    """Instants at equal distances, in microseconds since the epoch."""

    first: int
    step: int
    number: int

    @classmethod
    def of(cls, every: str | timedelta, start: str | datetime, end: str | datetime) -> Instants:
        """From ``start`` on, up to ``end`` inclusive.

        Raises:
            ForebayError: an instant has no offset, or there is none between the two.
        """
        first, last = _epoch(start, "--from"), _epoch(end, "--to")
        step = every
        if isinstance(step, str):
            step = parse_duration(step, where="--every", example="1 day")
        if step <= timedelta(0):
            raise DataError("the step is not longer than 0", where="--every", hint="write 1 day")
        if last < first:
            raise DataError("it ends before it begins", where="--to", hint="name a later instant")
        return cls(first, microseconds(step), (last - first) // microseconds(step) + 1)


def write_spine(
    project: Project,
    entities: Any,
    instants: Instants,
    out: Path,
    *,
    keys: Sequence[str] = (),
) -> RegularSpine:
    """Write each entity at each instant to a Parquet file, in the order of the instants.

    Args:
        entities: as a spine may be given: a frame, a path, or a SELECT over the lake's tables.
        keys: the columns that name an entity; by default all that there are.

    Raises:
        ForebayError: the entities cannot be read, or have no such column.
    """
    catalog = project.catalog()
    connection = connect(catalog)
    try:
        with tempfile.TemporaryDirectory(prefix="forebay") as folder:
            relation, columns = _load(connection, entities, Path(folder), project)
            chosen = _chosen(columns, keys)
            listed = ", ".join(map(quoted, chosen))
            nulls = " or ".join(f"{quoted(name)} is null" for name in chosen)
            connection.execute(
                f"create table forebay_entities as select distinct {listed} from ({relation}) "
                f"where not ({nulls})"
            )
            lost = _count(connection, f"({relation}) where {nulls}")
        found = _count(connection, "forebay_entities")
        sql = (
            f"select {listed}, make_timestamptz({instants.first} + n * {instants.step}) as {EVENT} "
            f"from forebay_entities cross join range({instants.number}) as steps(n) "
            f"order by n, {listed}"
        )
        with sealing(out) as staged:
            copy_to_parquet(connection, sql, staged)
    except duckdb.Error as error:
        raise DataError(first_line(error), where="entities", hint="fix the entities") from None
    finally:
        connection.close()
    return RegularSpine(str(out), found * instants.number, found, instants.number, lost)


def _epoch(at: str | datetime, option: str) -> int:
    instant = parse_instant(at, where=option) if isinstance(at, str) else at
    if instant.tzinfo is None:
        raise DataError("the instant has no zone", where=option, hint="give it tzinfo=UTC")
    return epoch_us(instant)


def _load(
    connection: duckdb.DuckDBPyConnection,
    entities: Any,
    folder: Path,
    project: Project,
) -> tuple[str, Mapping[str, str]]:
    """SQL of the entities' rows, and DuckDB types by column."""
    source = read_input(entities, folder)
    if isinstance(source, SpineQuery):
        check_query(project, source.sql)
        define_named(connection, project.catalog(), source.sql)
        described = connection.execute(f"describe {source.sql}").fetchall()
        return source.sql, {name: kind for name, kind, *_ in described}
    if isinstance(source, SpineFile):
        return read_rows(connection, source.path)
    path = folder / "entities.parquet"
    write_numbered(source, source.names, path)
    sql, columns = read_rows(connection, path)
    return sql, {name: columns[name] for name in source.names}


def _chosen(columns: Mapping[str, str], keys: Sequence[str]) -> list[str]:
    for name in keys:
        if name not in columns:
            raise UnknownNameError(
                f"the entities have no column {name!r}",
                where="--key",
                hint=did_you_mean(name, columns),
            )
    chosen = list(keys or columns)
    if EVENT in chosen:
        raise DataError(
            f"the entities have a column {EVENT}, as the instants will be named",
            where="entities",
            hint="name the columns of the key with --key",
        )
    return chosen


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = connection.execute(f"select count(*) from {relation}").fetchone()
    assert row is not None
    return int(row[0])
