"""Carry the spool of served vectors into the lake: each vector once, whenever a process is killed.

A row names the file it came from. A file is removed after the commit that has its rows, so one that
is there still is asked for in the table first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from pyiceberg.catalog import Catalog as Lake
from pyiceberg.expressions import In

from feature_specs.errors import DataError
from feature_specs.instants import from_epoch_us
from lakehouse.commit import commit_rows
from lakehouse.lake import find_table
from lakehouse.statistics.keep_statistics import create_by_day
from serving.served.spool import only_reader, read_lines, whole_files

SERVED = "forebay.served_vectors"
#: The column with names and types of a row's key columns; null where an earlier version logged it.
KEY_COLUMNS = "key_columns"
#: The column with the fingerprint of the secret that the key was hashed under; null as above.
KEY_SECRET = "key_secret"

_INSTANT = pa.timestamp("us", tz="UTC")
_TEXTS = pa.list_(pa.string())
#: A row is what one view answered of one entity.
SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("at", _INSTANT),
        ("loaded_at", _INSTANT),
        ("service", pa.string()),
        ("view", pa.string()),
        ("meaning", pa.string()),
        ("key", _TEXTS),
        ("key_hash", pa.string()),
        ("status", pa.string()),
        ("features", _TEXTS),
        ("values", _TEXTS),
        ("request", pa.string()),
        ("leaves", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        (KEY_COLUMNS, pa.string()),
        (KEY_SECRET, pa.string()),
    ]
)
#: Bytes of files that one commit takes, about.
_COMMIT_BYTES = 64 * 2**20


@dataclass
class Committed:
    """What was carried over.

    Attributes:
        files, vectors, rows: how many; a row is what one view answered of a vector.
        before: files that an earlier run had committed, and was killed before it removed them.
        busy: another run commits the folder at this moment, and nothing was done.
    """

    files: int = 0
    vectors: int = 0
    rows: int = 0
    before: int = 0
    busy: bool = False


def commit_spool(lake: Lake, folder: Path, *, dry_run: bool = False) -> Committed:
    """Commit the files of a spool that are whole, and remove them.

    Args:
        dry_run: count only; files of killed servers are left as they are, and not counted.

    Raises:
        DataError: a file cannot be read or is none of a spool, or other writers committed first,
            again and again. What was committed stays so, and the rest stays in the folder.
    """
    done = Committed()
    if not folder.is_dir():
        return done
    if dry_run:
        for path in whole_files(folder, take=False):
            _count(done, path, _rows(path))
        return done
    with only_reader(folder) as alone:
        done.busy = not alone
        for paths in _groups(whole_files(folder)) if alone else ():
            _commit(lake, paths, done)
    return done


def _groups(paths: Sequence[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for path in paths:
        group.append(path)
        size += path.stat().st_size
        if size >= _COMMIT_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _commit(lake: Lake, paths: Sequence[Path], done: Committed) -> None:
    known = _known(lake, [path.name for path in paths])
    rows: list[dict[str, Any]] = []
    counted = Committed()
    for path in paths:
        if path.name not in known:
            found = _rows(path)
            _count(counted, path, found)
            rows += found
    if rows:
        create_by_day(lake, SERVED, SCHEMA)
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        commit_rows(lake, SERVED, table, mode="append", columns="add")
    for path in paths:
        path.unlink()
    done.files += counted.files
    done.vectors += counted.vectors
    done.rows += counted.rows
    done.before += len(known)


def _known(lake: Lake, names: Sequence[str]) -> set[str]:
    """Those of the files whose rows are in the table."""
    table = find_table(lake, SERVED)
    if table is None:
        return set()
    named = In(term="file", values=names)  # type: ignore[arg-type]  # of pydantic's wider types
    scan = table.scan(row_filter=named, selected_fields=("file",))
    return {str(name) for name in scan.to_arrow()["file"].unique().to_pylist()}


def _count(done: Committed, path: Path, rows: Sequence[dict[str, Any]]) -> None:
    done.files += 1
    done.rows += len(rows)
    done.vectors += len({row["line"] for row in rows})


def _rows(path: Path) -> list[dict[str, Any]]:
    made = []
    for number, line in enumerate(read_lines(path)):
        try:
            vector = orjson.loads(line)
            at = from_epoch_us(vector["at"])
            made += [
                {
                    "day": at.astimezone(UTC).date(),
                    "at": at,
                    "loaded_at": _instant(view["loaded"]),
                    "service": vector["service"],
                    "key_hash": view["hash"],
                    "file": path.name,
                    "line": number,
                    # An earlier version of forebay wrote none of these.
                    **{name: view.get(name) for name in ("leaves", KEY_COLUMNS, KEY_SECRET)},
                    **{name: view[name] for name in _AS_LOGGED},
                }
                for view in vector["views"]
            ]
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"line {number + 1} is not a served vector",
                where=str(path),
                hint="move the file away, and run it again",
            ) from None
    return made


_AS_LOGGED = ("view", "meaning", "key", "status", "features", "values", "request")


def _instant(us: int | None) -> datetime | None:
    return None if us is None else from_epoch_us(us)
