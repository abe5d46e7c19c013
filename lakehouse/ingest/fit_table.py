"""Fit a file's columns to those of a table, and change the table's columns where that was asked."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyiceberg.schema import Schema
from pyiceberg.table.update.schema import UpdateSchema

from feature_specs.errors import DataError, UnknownNameError, did_you_mean
from feature_specs.names import fold_name
from lakehouse.duckdb_types import column_types
from lakehouse.ingest.read_typed import stored_type
from lakehouse.ingest.source import JSON, TEXT, FileOptions, Source

#: Types that Iceberg may make of another without writing its rows again.
_WIDER = {"INTEGER": ("BIGINT",), "FLOAT": ("DOUBLE",)}


@dataclass(frozen=True)
class SchemaChanges:
    """What may become of an existing table's columns. Field ids stay, so old rows keep their values.

    Attributes:
        evolve: add columns that the file has and the table lacks, and widen those that it needs wider.
        rename: old name to new.
        drop: names of columns that go, with all their values.
    """

    evolve: bool = False
    rename: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    def apply(self, update: UpdateSchema) -> None:
        """Rename and drop columns; the rows then bring the new and wider ones."""
        for name in self.drop:
            update.delete_column(name)
        for old, new in self.rename.items():
            update.rename_column(old, new)


@dataclass(frozen=True)
class Fit:
    """What a file's columns are to be in a table.

    Attributes:
        types: DuckDB types by column, in the table's order; None where the values have to say.
        change: what has to be done to the table's columns first.
    """

    types: Mapping[str, str | None]
    change: Callable[[UpdateSchema], None] | None


def fit_table(
    schema: Schema,
    source: Source,
    options: FileOptions,
    changes: SchemaChanges,
    identifier: str,
) -> Fit:
    """The types as which a file's columns are read for a table that is there.

    Raises:
        DataError: the columns differ, or a type cannot become the one that is needed.
        UnknownNameError: a column to be renamed or dropped is not there.
    """
    held = _after(column_types(schema), changes, identifier)
    lacking = [n for n in held if n not in source.kinds]
    more = [n for n in source.kinds if n not in held]
    renamed = {new: old for old, new in changes.rename.items()}
    _check_names(lacking, [] if changes.evolve else more, renamed, source, identifier)
    types: dict[str, str | None] = {}
    for name, kind in held.items():
        types[name] = kind
        asked = options.types.get(name) or source.kinds[name]
        if name not in options.types and asked in (TEXT, JSON):
            continue
        wanted = stored_type(asked)
        if wanted != kind and changes.evolve and may_widen(kind, wanted):
            types[name] = wanted
        elif name in options.types and wanted != kind:
            raise DataError(
                f"column {name!r} is {kind} in table {identifier}, and --types says {wanted}",
                where=str(source.path),
                hint="with --evolve an INTEGER may become BIGINT, a FLOAT DOUBLE and a DECIMAL one "
                "of more digits; for another type drop the table and load it again",
            )
    types |= {name: options.types.get(name) for name in more}
    return Fit(types, changes.apply if changes.rename or changes.drop else None)


def _after(held: Mapping[str, str], changes: SchemaChanges, identifier: str) -> dict[str, str]:
    """Columns and types as they are once columns were dropped and renamed."""
    for name in (*changes.drop, *changes.rename):
        if name not in held:
            raise UnknownNameError(
                f"table {identifier} has no column {name!r}",
                where="--drop-column" if name in changes.drop else "--rename",
                hint=did_you_mean(name, held),
            )
    left = {n: k for n, k in held.items() if n not in changes.drop}
    named = [changes.rename.get(n, n) for n in left]
    folded = [fold_name(n) for n in named]
    twice = sorted({n for n in named if folded.count(fold_name(n)) > 1})
    if twice:
        raise DataError(
            f"table {identifier} would have two columns {twice[0]!r}",
            where="--rename",
            hint="choose another name, or drop the other column with --drop-column",
        )
    return dict(zip(named, left.values(), strict=True))


def _check_names(
    lacking: list[str], more: list[str], renamed: Mapping[str, str], source: Source, identifier: str
) -> None:
    if not lacking and not more:
        return
    faults = [f"column {name!r} is missing from the file" for name in lacking]
    faults += [f"the table has no column {name!r}" for name in more]
    if lacking and all(renamed.get(new) in more for new in lacking):
        names = ", ".join(repr(n) for n in lacking)
        hint = f"--rename renames the table's columns, not the file's: write {names} in the file"
    elif lacking and more:
        hint = f"if a column was renamed: --rename {shlex.quote(f'{lacking[0]}={more[0]}')}"
        hint += "; if it is new and the other is gone: --evolve --drop-column " + shlex.quote(
            lacking[0]
        )
    elif more:
        hint = "--evolve adds columns to the table"
    else:
        hint = f"add it to the file, or drop it from the table with --drop-column {shlex.quote(lacking[0])}"
    raise DataError(
        f"its columns are not those of table {identifier}: " + "; ".join(faults),
        where=str(source.path),
        hint=f"{hint}; nothing was written",
    )


def may_widen(kind: str, wanted: str) -> bool:
    """Whether Iceberg may make a type of another, every value of which stays as it is.

    >>> may_widen("INTEGER", "BIGINT"), may_widen("BIGINT", "INTEGER")
    (True, False)
    """
    if wanted in _WIDER.get(kind, ()):
        return True
    if not (kind.startswith("DECIMAL(") and wanted.startswith("DECIMAL(")):
        return False
    digits, scale = kind[8:-1].split(",")
    more, same = wanted[8:-1].split(",")
    return scale == same and int(more) > int(digits)
