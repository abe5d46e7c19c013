"""Reproduce a training set from its record: the same statement over the same snapshots."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, LeafEntry
from feature_specs.errors import DataError
from feature_specs.progress import Progress, Share
from feature_specs.quote import quoted
from forebay.compilation.current_service import CompiledService
from forebay.dbt_project.project import Project
from forebay.training.check_out import check_out
from forebay.training.combine_parts import combine_parts, parts_of
from forebay.training.duckdb_engine import DuckDBEngine
from forebay.training.engine import SpineFile, SpineReading
from forebay.training.recorded_set import check_recorded, is_parquet, read_recorded
from forebay.training.seal_file import seal, sealing
from lakehouse.content_hash import UNKNOWN
from lakehouse.ingest.spine import Spine
from lakehouse.lake import open_lake
from lakehouse.pin_recorded import pin_recorded
from lakehouse.training_record import FOOTER_KEY, Record, file_hash


@dataclass(frozen=True)
class Remade:
    """A training set that was made again.

    Attributes:
        out: the file that was written; empty where it was only made and compared.
        same_bytes: whether it is FILE byte for byte; None where FILE is a record alone.
        note: what is worth knowing of how it was made.
    """

    service: str
    out: str
    rows: int
    columns: int
    content: str
    same_bytes: bool | None
    note: str = ""


def remake_set(
    project: Project, recorded: Path, out: Path | None, report: Progress | None = None
) -> Remade:
    """Make the set again that a file, or a record's JSON, tells of.

    Its tables are read at the snapshots and by the statement that the record has, whatever has
    become of tables and views since. Its spine is the file that the record names, if that has the
    same bytes still, else the spine's rows in the set itself.

    Args:
        out: where to write it; None to make and compare it, and write nothing.

    Raises:
        DataError: it was not recorded well enough, a snapshot or the spine is gone, or other values
            come out than the record has the hash of. Nothing is written then.
    """
    record = read_recorded(recorded)
    check_recorded(record, recorded, "make a new set: leave --as-recorded away")
    if out is not None:
        check_out(out, _spine_path(record), "--out")
    with tempfile.TemporaryDirectory(prefix="forebay") as folder:
        made = out or Path(folder) / "made.parquet"
        with sealing(made) as staged:
            _make(project, recorded, record, staged, report)
            found = seal(staged)
            if found != record["content"]["hash"]:
                _refuse_other(record, recorded, found)
            is_set = is_parquet(recorded)
            same = file_hash(staged) == file_hash(recorded) if is_set else None
            facts = pq.read_metadata(staged)
    return Remade(
        record["service"],
        "" if out is None else str(out),
        facts.num_rows,
        facts.num_columns,
        found,
        same,
        "" if same is not False else _versions(record),
    )


def _make(
    project: Project, recorded: Path, record: Record, staged: Path, report: Progress | None
) -> None:
    """Write the set's rows and its record, the hash of the rows yet unknown."""
    unsealed = {**record, "content": {**record["content"], "hash": UNKNOWN}}
    facts = json.dumps(unsealed)
    if "parts" not in record:
        _make_part(project, recorded, record, None, staged, {FOOTER_KEY: facts}, report)
        return
    files, first = [], 0
    for number, part in enumerate(parts_of(record)):
        files.append(staged.with_name(f"{staged.name}.{number}"))
        _make_part(project, recorded, part, first, files[-1], {}, report)
        first += part["spine"]["rows"]
    combine_parts(files, staged, facts)


def _make_part(
    project: Project,
    recorded: Path,
    part: Record,
    first: int | None,
    out: Path,
    facts: Mapping[str, str],
    report: Progress | None,
) -> None:
    """Write the rows that one record tells of.

    Args:
        first: which row of the set is the part's first one; None where there are no parts.
    """
    lake = open_lake(project.lake)
    engine = DuckDBEngine(_catalog(project, part))
    try:
        if "model" in part:
            sql = engine.whole_table(pin_recorded(lake, part["model"]))
        else:
            sql = _statement(engine, lake, recorded, part, first)
        rows = int(part["spine"].get("rows") or 0)
        told = None if report is None else _told(report, part["service"], rows)
        engine.write_parquet(sql, out, facts, told)
    finally:
        engine.close()


def _told(report: Progress, service: str, rows: int) -> Share:
    return lambda share: report(f"train {service}", int(share * rows), rows)


def _statement(
    engine: DuckDBEngine, lake: Lake, recorded: Path, record: Record, first: int | None
) -> str:
    recipe = record["recipe"]
    pinned = {relation: pin_recorded(lake, told) for relation, told in record["leaves"].items()}
    if recipe["threads"]:
        engine.use_threads(recipe["threads"])
    spine = _load_spine(engine, recorded, record, first)
    service = CompiledService(
        record["service"], _catalog_of(record), recipe["statement"], _compile_nothing
    )
    return engine.statement(service, spine, record["lag_us"], pinned)


def _load_spine(engine: DuckDBEngine, recorded: Path, record: Record, first: int | None) -> Spine:
    """The spine's rows in their order, out of its own file or else of the set."""
    told = record["spine"]
    path = _spine_path(record)
    if (
        first is None
        and path is not None
        and path.is_file()
        and file_hash(path) == told.get("sha256")
    ):
        reading = SpineReading(record["timestamp"], record["timezone"], record["recipe"]["types"])
        return engine.load_spine(SpineFile(path, told, str(path)), reading)
    if not is_parquet(recorded):
        raise DataError(
            "the spine is not there any more, or has other bytes than it had"
            if first is None
            else "rows were added to the set, and only the set itself has its spine",
            where=str(path or told.get("query") or "spine"),
            hint="put it back, or name the training set's Parquet file, which has its rows",
        )
    whole = engine.load_spine(
        SpineFile(recorded, {}, str(recorded)), SpineReading(record["timestamp"], None, {})
    )
    features = {feature["name"] for feature in record["features"]}
    columns = {n: kind for n, kind in whole.columns.items() if n not in features}
    listed = ", ".join(map(quoted, [*columns, whole.row]))
    sql = f"select {listed} from ({whole.sql})"
    if first is not None:
        sql += f" where {whole.row} >= {first} and {whole.row} < {first + told['rows']}"
    return Spine(sql, columns, whole.timestamp, whole.row)


def _catalog(project: Project, record: Record) -> Catalog:
    return replace(_catalog_of(record), lake=project.lake)


def _catalog_of(record: Record) -> Catalog:
    """As much of a catalog as the statement's own relations need."""
    leaves = {
        name: LeafEntry(name, name, told["table"], "event")
        for name, told in record.get("leaves", {}).items()
    }
    return Catalog(str(record.get("project")), {}, "", leaves=leaves)


def _compile_nothing() -> NoReturn:
    raise AssertionError("a recorded statement is run as it stands")


def _spine_path(record: Record) -> Path | None:
    path = record.get("spine", {}).get("path")
    return None if path is None else Path(path)


def _refuse_other(record: Record, recorded: Path, found: str) -> NoReturn:
    said = _versions(record)
    raise DataError(
        f"other values came out than were recorded: {found[:12]} for "
        f"{record['content']['hash'][:12]}{said and ', ' + said}",
        where=str(recorded),
        hint="make it with the versions that it was made with"
        if said
        else "a file of the lake, or the set's own, was changed by hand; nothing was written",
    )


def _versions(record: Record) -> str:
    """Which packages are of other versions than those that made the set; empty where none is."""
    other = [
        f"{name} is {version(name)} and was {was}"
        for name, was in record.get("versions", {}).items()
        if version(name) != was
    ]
    return ", ".join(other)
