"""An entity's rows in Parquet files that `forebay train` wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from forebay.dbt_project.project import Project
from lakehouse.erase.match_rows import Entity
from lakehouse.training_record import FOOTER_KEY


def training_files(project: Project, named: Iterable[Path]) -> Iterator[Path]:
    """The files that are named, and those under target/ that hold a training set.

    Raises:
        DataError: one that is named cannot be read.
    """
    for path in named:
        if _footer(path) is None:
            raise DataError(
                "it is not there, or no Parquet file",
                where=str(path),
                hint="name another by --file",
            )
        yield path
    given = {path.resolve() for path in named}
    for path in sorted((project.root / "target").rglob("*.parquet")):
        if path.resolve() in given:
            continue
        footer = _footer(path)
        if footer is not None and FOOTER_KEY.encode() in (footer.metadata or {}):
            yield path


def _footer(path: Path) -> pq.FileMetaData | None:
    """What stands at a Parquet file's end; None of any other file."""
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return None


def count_in(path: Path, entity: Entity) -> int:
    """The number of the entity's rows in a file."""
    mask = _mask(path, entity)
    return 0 if mask is None else int(pc.sum(mask).as_py() or 0)


def erase_in(path: Path, entity: Entity) -> int:
    """Rewrite the file without the entity's rows, atomically.

    Returns how many went.
    """
    mask = _mask(path, entity)
    found = 0 if mask is None else int(pc.sum(mask).as_py() or 0)
    if not found:
        return 0
    table = pq.read_table(path)
    draft = path.with_name(f".{path.name}.erasing")
    pq.write_table(table.filter(pc.invert(mask)), draft, compression="zstd")
    draft.replace(path)
    return found


def _mask(path: Path, entity: Entity) -> pa.ChunkedArray | None:
    """For each row whether it is the entity's; None where the file lacks its columns."""
    schema = pq.read_schema(path)
    names = {fold_name(name): name for name in schema.names}
    if any(fold_name(key) not in names for key in entity.values):
        return None
    columns = {key: names[fold_name(key)] for key in entity.values}
    keys = pq.read_table(path, columns=list(columns.values()))
    with duckdb.connect() as connection:
        connection.register("keys_of_set", keys)
        types = dict(
            connection.execute("select name, type from pragma_table_info('keys_of_set')").fetchall()
        )
        same = " and ".join(
            f"{quoted(column)} is not distinct from try_cast({literal(entity.values[key])} "
            f"as {types[column]})"
            for key, column in columns.items()
        )
        mask = connection.sql(f"select {same} as it from keys_of_set").to_arrow_table()
    return mask.column("it")
