"""What may be given as a spine: a file, a query, or rows of pandas, polars, Arrow and DuckDB."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from feature_specs.errors import DataError, first_line
from forebay.training.engine import SpineFile, SpineQuery
from forebay.training.exact_columns import arrow_select
from forebay.training.own_rows import SPINE, OwnRows, keep_stream, rows_of_table
from forebay.training.pandas_rows import rows_of_pandas
from lakehouse.training_record import file_hash

_QUERY = re.compile(r"\s*(\(|(select|with|from|values|table)\s)", re.IGNORECASE)


#: A dotted name whose last part is no ending of a file.
_TABLE = re.compile(
    r"(?!.*\.(parquet|[ct]sv|txt|jsonl?|ndjson|gz|zst)$)\w+(\.\w+){1,2}", re.IGNORECASE
)


def spine_words(text: str) -> Path | str:
    """A spine as a command line names it: a file, a query, or a table, which becomes a query.

    >>> spine_words("labels.parquet"), spine_words("ml.labels")
    (PosixPath('labels.parquet'), 'select * from ml.labels')
    """
    if _QUERY.match(text):
        return text
    if _TABLE.fullmatch(text) and not Path(text).exists():
        return f"select * from {text}"
    return Path(text)


def read_input(spine: Any, folder: Path) -> SpineFile | SpineQuery | OwnRows:
    """A spine as it was given.

    Args:
        folder: for a stream's rows.

    Raises:
        DataError: it is nothing that can be a spine.
    """
    if isinstance(spine, str) and _QUERY.match(spine):
        query = spine.strip().rstrip(";")
        return SpineQuery(query, {"query": query}, "spine query")
    if isinstance(spine, str | Path):
        return spine_file(Path(spine))
    if isinstance(spine, duckdb.DuckDBPyRelation):
        return _relation(spine, folder)
    if _is_from("pandas", "DataFrame", spine):
        return rows_of_pandas(spine)
    if _is_from("polars", "LazyFrame", spine):
        spine = spine.collect()
    try:
        if _is_from("polars", "DataFrame", spine):
            return rows_of_table(spine.to_arrow(), "polars", spine)
        if isinstance(spine, pa.RecordBatch):
            spine = pa.Table.from_batches([spine])
        if isinstance(spine, Mapping):
            spine = pa.table(dict(spine))
        if isinstance(spine, pa.Table):
            return rows_of_table(spine, "arrow", spine)
        if hasattr(spine, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(spine)
            return keep_stream(reader, folder / "spine.arrows", "arrow")
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"a {type(spine).__name__} that is not an Arrow table: {first_line(error)}",
            where=SPINE,
            hint="give a frame whose columns are of types that Arrow has",
        ) from None
    raise DataError(
        f"a {type(spine).__name__} is not a spine",
        where=SPINE,
        hint="give a frame of pandas or polars, an Arrow table or reader, a DuckDB relation, a "
        "path, or a SELECT",
    )


def spine_file(path: Path) -> SpineFile:
    """A file as a spine; what is wrong with it is told once it is read."""
    facts = {"path": str(path)}
    if path.is_file():
        facts["sha256"] = file_hash(path)
    return SpineFile(path, facts, str(path))


def _relation(relation: duckdb.DuckDBPyRelation, folder: Path) -> OwnRows:
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    try:
        reader = relation.project(arrow_select(types)).to_arrow_reader()
        return keep_stream(reader, folder / "spine.arrows", "duckdb")
    except duckdb.Error as error:
        raise DataError(first_line(error), where=SPINE, hint="fix the relation") from None


def _is_from(package: str, name: str, value: Any) -> bool:
    """Whether a value is of a class of a package, which is not imported for it."""
    kind = getattr(sys.modules.get(package), name, None)
    return kind is not None and isinstance(value, kind)
