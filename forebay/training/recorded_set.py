"""Read a training set's record, from its file or from a record file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_specs.errors import DataError
from lakehouse.training_record import FOOTER_KEY, Record, parse_record


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


def check_recorded(record: Record, recorded: Path, instead: str) -> None:
    """Refuse a record by which nothing can be made again.

    Args:
        instead: what to do, for the hint.

    Raises:
        DataError: it lacks what makes the set again, or was made elsewhere than on DuckDB.
    """
    if record.get("served"):
        raise DataError(
            "it holds what was served, which is in the log and is not computed again",
            where=str(recorded),
            hint="`forebay train SERVICE --served` takes it from the log anew",
        )
    if "content" not in record or ("model" not in record and "recipe" not in record):
        raise DataError(
            "it was written by an earlier forebay, which did not keep what makes a set again",
            where=str(recorded),
            hint=instead,
        )
    engine = record.get("recipe", {}).get("engine", "duckdb")
    if "model" not in record and engine != "duckdb":
        raise DataError(
            f"it was made on {engine}, whose sets are not made again byte for byte",
            where=str(recorded),
            hint="make such sets with `--engine duckdb`",
        )


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"
