"""Append the rows of another spine to an existing training set, each once.

A spine row is new as often as it stands in the spine more times than in the set, all of its columns
compared, so that a second run, or a spine that overlaps with an earlier one, adds nothing twice.
Each row is as of its own instant, so the order in which rows come is of no matter.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.progress import Progress
from feature_specs.quote import quoted
from forebay.check_query import check_query
from forebay.dbt_project.project import Project
from forebay.training.changes import compare, keep_record
from forebay.training.combine_parts import combine_parts, rows_in, with_part
from forebay.training.copy_to_parquet import copy_to_parquet
from forebay.training.engine import SpineFile, SpineQuery
from forebay.training.make_set import SetOptions, make_training_set
from forebay.training.recorded_set import check_recorded, read_recorded
from forebay.training.seal_file import seal, sealing
from forebay.training.spine_input import read_input
from lakehouse.ingest.spine import Spine, read_spine, read_spine_query
from lakehouse.keep_snapshots import forget_snapshots, keep_snapshots, kept_of
from lakehouse.lake import open_lake
from lakehouse.relations import connect, define_named
from lakehouse.training_record import Record


@dataclass(frozen=True)
class Appended:
    """What was added to a training set.

    Attributes:
        rows: of the set now.
        added: rows that are new.
        known: rows of the spine that the set had already.
    """

    service: str
    out: str
    rows: int
    added: int
    known: int


def append_rows(
    project: Project,
    service: str,
    spine: Path | str,
    out: Path,
    *,
    dry_run: bool = False,
    report: Progress | None = None,
) -> Appended:
    """Add a spine's new rows to the set at ``out``, which is replaced whole or not at all.

    Column of instants, lag and zone are those of the set. New rows are computed from the tables as
    they are now; the rows that are there stay as they are.

    Raises:
        DataError: the set is another service's or another definition's, or the spine has other
            columns than the set's.
    """
    _check(project, service, read_recorded(out), out)
    with _alone(out), tempfile.TemporaryDirectory(prefix="forebay") as name:
        record = read_recorded(out)
        folder = Path(name)
        facts, added, known = _find_new(project, record, spine, out, folder / "new.parquet")
        rows = pq.read_metadata(out).num_rows
        done = Appended(service, str(out), rows + added, added, known)
        if not added or dry_run:
            return done
        options = SetOptions(record["timestamp"], None, "UTC", "duckdb", record["lag_us"])
        with make_training_set(project, service, folder / "new.parquet", options) as made:
            _check_same(record, made.record, out)
            made.record["spine"] = {**facts, "rows": added}
            made.record["timezone"] = record["timezone"]
            whole = with_part(record, made.record)
            lake = open_lake(project.lake)
            keep_snapshots(lake, made.record)
            try:
                made.write_rows(folder / "part.parquet", "", report)
                with sealing(out) as staged:
                    combine_parts([out, folder / "part.parquet"], staged, json.dumps(whole))
                    whole["content"]["hash"] = seal(staged)
            except BaseException:
                forget_snapshots(lake, made.record["id"], kept_of(made.record))
                raise
        keep_record(project, whole)
    return done


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Be the only one to add rows to a set, so that of two neither loses those of the other.

    The lock is on the file that was read, and ends with the process.

    Raises:
        DataError: another process is adding rows, or has replaced the file since.
    """
    with out.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            overtaken = not os.path.samestat(os.fstat(file.fileno()), out.stat())
        except OSError:
            overtaken = True
        if overtaken:
            raise DataError(
                "another process is adding rows to it, or has replaced it in this moment",
                where=str(out),
                hint="run it again once that is done; nothing was added",
            )
        yield


def _check(project: Project, service: str, record: Record, out: Path) -> None:
    """Refuse what rows cannot be added to, before anything is computed."""
    check_recorded(record, out, "make a new set: leave --append away")
    if "model" in record:
        raise DataError(
            "it was written from a training-set model, whose rows dbt makes",
            where=str(out),
            hint="add rows to the model's spine and run `forebay build`",
        )
    if record["service"] != service:
        raise DataError(
            f"it is a training set of {record['service']!r}, not of {service!r}",
            where=str(out),
            hint="name another file with --out",
        )


def _check_same(record: Record, now: Record, out: Path) -> None:
    """Refuse features that are others than those of the rows that are there."""
    changed = compare(record, now)
    other = [*changed.added, *changed.removed, *changed.retyped, *changed.redefined]
    if other or [f["name"] for f in record["features"]] != [f["name"] for f in now["features"]]:
        raise DataError(
            f"its features mean something else than those of now: {', '.join(other) or 'their order'}",
            where=str(out),
            hint="make a new set of both spines: leave --append away",
        )


def _find_new(
    project: Project, record: Record, spine: Path | str, out: Path, path: Path
) -> tuple[Mapping[str, Any], int, int]:
    """Write the spine's rows that the set lacks, in the spine's order, to a file.

    Returns what is known of the spine, and how many rows are new and how many known.
    """
    catalog = project.catalog()
    source = read_input(spine, path.parent)
    if isinstance(source, SpineQuery):
        check_query(project, source.sql)
    with closing(connect(catalog)) as connection:
        features = {f["name"] for f in record["features"]}
        there = f"(select * exclude (file_row_number) from {rows_in(out)})"
        described = connection.execute(f"describe select * from {there}").fetchall()
        columns = {n: kind for n, kind, *_ in described if n not in features}
        given: dict[str, Any] = {
            "timestamp": record["timestamp"],
            "timezone": record["timezone"],
            "types": {fold_name(n): kind for n, kind in columns.items()},
            "numbered": True,
        }
        if isinstance(source, SpineQuery):
            define_named(connection, catalog, source.sql)
            found = read_spine_query(connection, source.sql, **given)
        else:
            assert isinstance(source, SpineFile), "a path or a query is not a frame"
            found = read_spine(connection, source.path, **given)
        _check_columns(columns, found, out)
        ((total,),) = connection.execute(f"select count(*) from ({found.sql})").fetchall()
        copy_to_parquet(connection, _new_rows(found, list(columns), there), path)
        new = pq.read_metadata(path).num_rows
    return source.facts, new, int(total) - new


def _new_rows(spine: Spine, columns: Sequence[str], there: str) -> str:
    """SQL of the spine's rows that stand in it more times than in the set, in the spine's order."""
    listed = ", ".join(map(quoted, columns))
    alike = " and ".join(f"s.{n} is not distinct from k.{n}" for n in map(quoted, columns))
    return (
        f"select {', '.join(f's.{n}' for n in map(quoted, columns))} from (select *, row_number() "
        f"over (partition by {listed} order by {spine.row}) as forebay_time from ({spine.sql})) as s "
        f"left join (select {listed}, count(*) as forebay_times from {there} group by all) as k "
        f"on {alike} where s.forebay_time > coalesce(k.forebay_times, 0) order by s.{spine.row}"
    )


def _check_columns(columns: Mapping[str, str], found: Spine, out: Path) -> None:
    """Refuse a spine whose columns are others than those of the set."""
    lacks = [n for n in columns if n not in found.columns]
    more = [n for n in found.columns if n not in columns]
    other = [
        f"{n} is {found.columns[n]} and was {kind}"
        for n, kind in columns.items()
        if n in found.columns and found.columns[n] != kind
    ]
    said = [f"it lacks {', '.join(lacks)}"] if lacks else []
    said += [f"it has {', '.join(more)} too"] if more else []
    said += [", ".join(other)] if other else []
    if said:
        raise DataError(
            f"the spine has other columns than the training set: {'; '.join(said)}",
            where=str(out),
            hint="give a spine with the columns of the first one",
        )
