"""Choose types of new columns from all values of several files."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from feature_specs.errors import DataError
from lakehouse.ingest.infer_types import infer_types
from lakehouse.ingest.open_source import open_source
from lakehouse.ingest.read_rows import refuse_local
from lakehouse.ingest.read_text import INSTANT
from lakehouse.ingest.read_typed import NOTHING, stored_type
from lakehouse.ingest.source import JSON, TEXT, FileOptions, types_hint

#: Of two types of a column's files the one that holds the values of both.
_WIDER = {
    frozenset({"INTEGER", "BIGINT"}): "BIGINT",
    frozenset({"FLOAT", "DOUBLE"}): "DOUBLE",
    frozenset({"BIGINT", "DOUBLE"}): "DOUBLE",
}


@dataclass
class _Column:
    """The types that a column has in files, and in which file each was seen first."""

    typed: dict[str, Path] = field(default_factory=dict)
    inferred: dict[str, Path] = field(default_factory=dict)
    text: bool = False


def unify_types(
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    options: FileOptions,
    known: Collection[str],
) -> dict[str, str]:
    """DuckDB types of the columns that no table and no option gives a type, over all of the files.

    A file by itself may show less than all do: whole numbers, where another has ``007``.

    Args:
        known: columns whose types are known.

    Raises:
        DataError: the files differ in their columns, or in a column's type.
    """
    columns: dict[str, _Column] = {}
    for path in paths:
        with tempfile.TemporaryDirectory(prefix="forebay") as folder:
            source = open_source(connection, path, options, Path(folder))
            if columns and set(source.kinds) != set(columns):
                raise _other_columns(path, paths[0], list(source.kinds), columns)
            columns = columns or {n: _Column() for n in source.kinds}
            told = {*known, *options.types, *options.declared}
            names = [n for n in source.kinds if n not in told]
            loose = [n for n in names if source.kinds[n] in (TEXT, JSON, NOTHING)]
            inferred = infer_types(connection, source, loose, empty=NOTHING)
            for name in names:
                column = columns[name]
                own = inferred.get(name) or stored_type(source.kinds[name])
                kinds = column.inferred if name in inferred else column.typed
                kinds.setdefault(own, path)
                column.text |= source.kinds[name] == TEXT
    chosen = {n: t for n, c in columns.items() if (t := _unified(n, c)) is not None}
    if options.timezone is not None:
        return {n: INSTANT if kind == "TIMESTAMP" else kind for n, kind in chosen.items()}
    refuse_local(chosen, options, str(paths[0]))
    return chosen


def _unified(name: str, column: _Column) -> str | None:
    """One type; None where no file has a value of the column."""
    kinds = column.typed or {k: p for k, p in column.inferred.items() if k != NOTHING}
    if len(kinds) < 2:
        return next(iter(kinds), None)
    wider = _WIDER.get(frozenset(kinds))
    if wider is not None:
        return wider
    # In one file of text, too, what is of several kinds is text as it stands.
    if not column.typed and column.text and not set(kinds) & {INSTANT, "TIMESTAMP"}:
        return "VARCHAR"
    (one, first), (other, second) = list(kinds.items())[:2]
    raise DataError(
        f"column {name!r} is {one} in {first}, and here {other}",
        where=str(second),
        hint=f"make them alike, or name its type: {types_hint({name: 'varchar'})}",
    )


def _other_columns(
    path: Path, first: Path, names: Sequence[str], columns: Mapping[str, _Column]
) -> DataError:
    faults = [f"column {n!r} is missing" for n in columns if n not in names]
    faults += [f"column {n!r} is more" for n in names if n not in columns]
    return DataError(
        f"its columns are not those of {first}: {'; '.join(faults)}",
        where=str(path),
        hint="load files of other columns in another call, with --evolve where they are new",
    )
