"""A training set whose rows were computed in parts, one at a time, each by a record of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from forebay.training.copy_to_parquet import copy_to_parquet
from lakehouse.content_hash import ALGORITHM, UNKNOWN
from lakehouse.data_files.footers import path_sql
from lakehouse.relations import tune
from lakehouse.training_record import FOOTER_KEY, Record

_PART, _ROW = "forebay_part", "forebay_row"
#: What a part's record has of its own; the rest is the same for all parts.
_OWN = (
    "id", "made_at", "forebay", "compiler", "versions", "git", "spine", "spine_tables", "timezone",
    "views", "leaves", "recipe",
)  # fmt: skip


def parts_of(record: Record) -> list[Record]:
    """The records of a set's parts in the order of their rows: itself alone, if it has but one."""
    if "parts" not in record:
        return [record]
    return [{**record, "spine_tables": {}, **part} for part in record["parts"]]


def with_part(record: Record, part: Record) -> Record:
    """The record of a set to which rows were added.

    Its own fields say what its last part was made of, and how many rows there are in all.
    """
    parts = record.get("parts") or [_own(record)]
    whole = {**part, "parts": [*parts, _own(part)]}
    rows = sum(int(p["spine"]["rows"]) for p in whole["parts"])
    whole["spine"] = {**part["spine"], "rows": rows}
    whole["content"] = {"algorithm": ALGORITHM, "hash": UNKNOWN}
    return whole


def _own(record: Record) -> Record:
    return {name: record[name] for name in _OWN if name in record}


def rows_in(path: Path) -> str:
    """SQL of a set's rows with their numbers, as column ``file_row_number``."""
    return f"read_parquet({path_sql(str(path))}, file_row_number = true, hive_partitioning = false)"


def combine_parts(files: Sequence[Path], out: Path, record: str) -> None:
    """Write the rows of files with the same columns to one, file after file, row after row."""
    with duckdb.connect() as connection:
        tune(connection)
        sql = " union all by name ".join(_numbered(files))
        chosen = f"select * exclude ({_PART}, {_ROW}) from ({sql}) order by {_PART}, {_ROW}"
        copy_to_parquet(connection, chosen, out, {FOOTER_KEY: record})


def _numbered(files: Sequence[Path]) -> Iterator[str]:
    for number, path in enumerate(files):
        yield (
            f"select * exclude (file_row_number), {number} as {_PART}, file_row_number as {_ROW} "
            f"from {rows_in(path)}"
        )
