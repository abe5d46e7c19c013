"""Make a training set again from its record: the same rows of the same tables by the same statement."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, LeafEntry
from feature_specs.errors import DataError
from feature_specs.progress import Progress, Share
from feature_specs.quote import quoted
from forebay.current_service import CompiledService
from forebay.project import Project
from forebay.training.check_out import check_out
from forebay.training.duckdb_engine import DuckDBEngine
from forebay.training.engine import SpineFile, SpineReading
from forebay.training.seal_file import seal, sealing
from lakehouse.content_hash import UNKNOWN
from lakehouse.ingest.spine import Spine
from lakehouse.lake import open_lake
from lakehouse.pin_recorded import pin_recorded
from lakehouse.training_record import FOOTER_KEY, Record, file_hash, parse_record


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
    _check(record, recorded)
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


def read_recorded(path: Path) -> Record:
    """The record of a training set's file, or of a file that holds the record alone.

    Raises:
        DataError: there is none.
    """
    try:
        if is_parquet(path):
            record = parse_record((pq.read_metadata(path).metadata or {}).get(FOOTER_KEY.encode()))
        else:
            record = parse_record(path.read_text())
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise DataError(
            f"it cannot be read: {error}",
            where=str(path),
            hint="name a training set's Parquet file, or its record, such as "
            "target/forebay/training/SERVICE.json",
        ) from None
    if record is None:
        raise DataError(
            "it has no record of what it was made of",
            where=str(path),
            hint="`forebay train` writes one into each file; name such a file",
        )
    return record


def _check(record: Record, recorded: Path) -> None:
    """Refuse a record by which nothing can be made again."""
    if "content" not in record or ("model" not in record and "recipe" not in record):
        raise DataError(
            "it was written by an earlier forebay, which did not keep what makes a set again",
            where=str(recorded),
            hint="make a new set: leave --as-recorded away",
        )
    engine = record.get("recipe", {}).get("engine", "duckdb")
    if "model" not in record and engine != "duckdb":
        raise DataError(
            f"it was made on {engine}, whose sets cannot be made again byte for byte",
            where=str(recorded),
            hint="make sets that are to be made again with `--engine duckdb`",
        )


def _make(
    project: Project, recorded: Path, record: Record, staged: Path, report: Progress | None
) -> None:
    """Write the set's rows and its record, the hash of the rows yet unknown."""
    lake = open_lake(project.lake)
    engine = DuckDBEngine(_catalog(project, record))
    try:
        if "model" in record:
            sql = engine.whole_table(pin_recorded(lake, record["model"]))
        else:
            sql = _statement(engine, lake, recorded, record)
        unsealed = {**record, "content": {**record["content"], "hash": UNKNOWN}}
        facts = {FOOTER_KEY: json.dumps(unsealed)}
        rows = int(record["spine"].get("rows") or 0)
        told = None if report is None else _told(report, record["service"], rows)
        engine.write_parquet(sql, staged, facts, told)
    finally:
        engine.close()


def _told(report: Progress, service: str, rows: int) -> Share:
    return lambda share: report(f"train {service}", int(share * rows), rows)


def _statement(engine: DuckDBEngine, lake: Lake, recorded: Path, record: Record) -> str:
    recipe = record["recipe"]
    pinned = {relation: pin_recorded(lake, told) for relation, told in record["leaves"].items()}
    if recipe["threads"]:
        engine.use_threads(recipe["threads"])
    spine = _load_spine(engine, recorded, record)
    service = CompiledService(
        record["service"], _catalog_of(record), recipe["statement"], _compile_nothing
    )
    return engine.statement(service, spine, record["lag_us"], pinned)


def _load_spine(engine: DuckDBEngine, recorded: Path, record: Record) -> Spine:
    """The spine's rows in their order, out of its own file or else of the set."""
    told = record["spine"]
    path = _spine_path(record)
    if path is not None and path.is_file() and file_hash(path) == told.get("sha256"):
        reading = SpineReading(record["timestamp"], record["timezone"], record["recipe"]["types"])
        return engine.load_spine(SpineFile(path, told, str(path)), reading)
    if not is_parquet(recorded):
        raise DataError(
            "the spine is not there any more, or has other bytes than it had",
            where=str(path or told.get("query") or "spine"),
            hint="put it back, or name the training set's Parquet file, which has its rows",
        )
    whole = engine.load_spine(
        SpineFile(recorded, {}, str(recorded)), SpineReading(record["timestamp"], None, {})
    )
    features = {feature["name"] for feature in record["features"]}
    columns = {n: kind for n, kind in whole.columns.items() if n not in features}
    listed = ", ".join(map(quoted, [*columns, whole.row]))
    return Spine(f"select {listed} from ({whole.sql})", columns, whole.timestamp, whole.row)


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


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


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
