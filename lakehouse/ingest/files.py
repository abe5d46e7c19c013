"""CSV, Parquet and JSON files into one Iceberg table, in one commit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.io.pyarrow import UnsupportedPyArrowTypeException

from feature_specs.errors import DataError, ForebayError, first_line
from feature_specs.progress import Progress
from feature_specs.time_zones import SESSION_AT_UTC, check_zone
from lakehouse.commit import Mode, OvertakenError
from lakehouse.describe_tables import TableFacts, facts_of
from lakehouse.duckdb_types import column_types
from lakehouse.ingest.fit_table import Fit, SchemaChanges, fit_table
from lakehouse.ingest.land_files import UncommittedFiles
from lakehouse.ingest.loaded_files import Content, content_of, loaded_files
from lakehouse.ingest.open_source import open_source
from lakehouse.ingest.quarantine import Misfit, commit_quarantine
from lakehouse.ingest.read_rows import known_types, open_ended, read_rows
from lakehouse.ingest.source import (
    FileOptions,
    Source,
    changed_meanwhile,
    check_file,
    format_of,
    unreadable_file,
)
from lakehouse.ingest.unify_types import unify_types
from lakehouse.lake import find_table
from lakehouse.layout import Layout

#: Of DuckDB; what needs more goes to the disk meanwhile.
_MEMORY = "1200MB"


#: How often files are read again where the table's columns change meanwhile.
_TRIES = 5


@dataclass(frozen=True)
class LoadedFile:
    """What became of one file.

    Attributes:
        rows: how many of its rows were written.
        known: whether the table had its rows before, so that nothing was added.
        misfits: rows that went to the quarantine.
    """

    path: Path
    rows: int
    known: bool = False
    misfits: tuple[Misfit, ...] = ()


@dataclass(frozen=True)
class Ingested:
    """What became of files.

    Attributes:
        before, after: the table, with None for one that was not there.
        inferred: columns of the files whose types were chosen by their values.
        dry_run: whether nothing was written; ``after`` then is what would be.
    """

    before: TableFacts | None
    after: TableFacts
    inferred: tuple[str, ...] = ()
    files: tuple[LoadedFile, ...] = ()
    dry_run: bool = False

    @property
    def rows(self) -> int:
        """How many rows were written."""
        return sum(f.rows for f in self.files)

    @property
    def misfits(self) -> int:
        """How many went to the quarantine."""
        return sum(len(f.misfits) for f in self.files)


def ingest_file(
    catalog: Catalog,
    identifier: str,
    path: Path,
    *,
    mode: Mode,
    options: FileOptions | None = None,
    changes: SchemaChanges | None = None,
    progress: Progress | None = None,
) -> Ingested:
    """Append a file's rows to a table, or make them its whole content: see `ingest_files`.

    Also those of a file that was loaded before.
    """
    return ingest_files(
        catalog, identifier, [path], mode=mode, options=options, changes=changes,
        again=True, progress=progress,
    )  # fmt: skip


def ingest_files(
    catalog: Catalog,
    identifier: str,
    paths: Sequence[Path],
    *,
    mode: Mode,
    options: FileOptions | None = None,
    changes: SchemaChanges | None = None,
    again: bool = False,
    strict: bool = False,
    layout: Layout | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    draft: Callable[..., UncommittedFiles] = UncommittedFiles,
) -> Ingested:
    """Append the rows of files to a table, or make them its whole content, in one commit.

    The table and its namespace are created when missing. Each value comes through unchanged, or
    nothing is written and the first that would not is named with its line. A file that was loaded
    before, by its content, is not loaded again. See docs/ingest.md.

    Args:
        catalog: where the table is.
        identifier: its dotted name.
        paths: .csv, .tsv, .parquet, .json, .jsonl or .ndjson files; text may be gzipped (.gz).
        mode: ``append`` or ``replace``.
        options: how the files are written, where their names do not say.
        changes: what may become of the columns of a table that is there.
        again: load files that were loaded before once more.
        strict: refuse all of it where a row does not fit what the source declares.
        layout: partitions and order that the table is to have from now on.
        dry_run: look at everything, and write nothing.
        progress: called as (label, done, total) with rows.
        draft: makes what writes and commits the rows, given what `UncommittedFiles` is.

    Raises:
        ForebayError: the table's name or an option is not one we know.
        DataError: a file cannot be read, its columns are not the table's, or a value would change.
    """
    options, changes = options or FileOptions(), changes or SchemaChanges()
    _check(identifier, paths, options)
    contents = {path: content_of(path) for path in paths}
    with tempfile.TemporaryDirectory(prefix="forebay") as folder, duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)
        connection.execute(f"set temp_directory = '{folder}'; set memory_limit = '{_MEMORY}'")
        load = _Load(
            connection, Path(folder), options, changes, contents, progress, strict, dry_run
        )
        for _ in range(_TRIES):
            table = find_table(catalog, identifier)
            known = {} if again or mode == "replace" else loaded_files(table)
            new = new_files(contents, known, again)
            check_changes(changes, new, paths)
            load.begin(draft(catalog, identifier, table, layout or Layout()), new)
            try:
                return load.end(mode, again)
            except OvertakenError:
                # The table is another: the files are read again, for what it is now.
                load.draft.forget()
        raise load.draft.no_luck()


def check_changes(changes: SchemaChanges, new: Sequence[Path], paths: Sequence[Path]) -> None:
    """Raise DataError if columns are to change and there are no rows to change them for."""
    if new or not (changes.rename or changes.drop):
        return
    option = "--rename" if changes.rename else "--drop-column"
    loaded = "it was" if len(paths) == 1 else "all files were"
    raise DataError(
        f"{loaded} loaded before, so that {option} would change nothing",
        where=str(paths[0]),
        hint="--again loads it once more",
    )


def new_files(
    contents: Mapping[Path, Content], known: Mapping[str, int], again: bool
) -> list[Path]:
    """The files that the table has not, each content once."""
    first: dict[str, Path] = {}
    for path, content in contents.items():
        if content.digest not in known:
            first.setdefault(str(path) if again else content.digest, path)
    return list(first.values())


@dataclass
class _Load:
    """Files on their way into a table."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    options: FileOptions
    changes: SchemaChanges
    contents: Mapping[Path, Content]
    progress: Progress | None
    strict: bool
    dry_run: bool
    draft: UncommittedFiles = field(init=False)
    rows: dict[Path, int] = field(init=False)
    misfits: dict[Path, tuple[Misfit, ...]] = field(init=False)
    inferred: tuple[str, ...] = field(init=False)
    unified: Mapping[str, str] = field(init=False)
    columns: Mapping[str, str] = field(init=False)

    def begin(self, draft: UncommittedFiles, paths: Sequence[Path]) -> None:
        """Read the files, and write their rows where no commit names them yet."""
        self.draft, self.rows, self.misfits = draft, {}, {}
        self.inferred, self.unified = (), {}
        base = draft.base
        self.columns = {} if base is None else column_types(base.schema())
        try:
            options = self.options
            if len(paths) > 1 and (base is None or self.changes.evolve):
                held = {self.changes.rename.get(n, n) for n in self.columns}
                with _explained(paths[0], draft.identifier):
                    self.unified = unify_types(self.connection, paths, options, held)
                options = replace(options, types={**self.unified, **options.types})
            for path in paths:
                with _explained(path, draft.identifier):
                    self._add(path, options)
        except BaseException:
            draft.forget()
            raise

    def _add(self, path: Path, options: FileOptions) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            source = open_source(self.connection, path, options, Path(folder))
            _check_delimiter(source, options)
            options = replace(options, types=known_types(self.connection, source, options))
            first = not self.rows
            table = self.draft.table
            changes = self.changes if first else SchemaChanges(evolve=self.changes.evolve)
            fit = (
                Fit({n: options.types.get(n) for n in source.kinds}, None)
                if table is None
                else fit_table(table.schema(), source, options, changes, self.draft.identifier)
            )
            schema = None if table is None else table.schema()
            reading = read_rows(
                self.connection, source, fit.types, schema, options, self.draft.identifier,
                quarantine=bool(options.declared) and not self.strict,
            )  # fmt: skip
            types = {n: None if n in self.unified else kind for n, kind in fit.types.items()}
            self.inferred += tuple(n for n in open_ended(source, types) if n not in self.inferred)
            self.rows[path], self.misfits[path] = reading.rows, reading.misfits
            if table is None and self.dry_run:
                self.columns = reading.types(self.connection)
            else:
                self.draft.fit(reading.schema, fit.change)
            if not self.dry_run:
                self.draft.write(self.connection, path, reading, self._report(path, reading.rows))
            if self.contents[path].stamp != source.stamp:
                raise changed_meanwhile(path)
            source.check_unchanged()

    def _report(self, path: Path, total: int) -> Callable[[int], None]:
        if self.progress is None:
            return lambda done: None
        which = f"rows of {path.name}" if len(self.contents) > 1 else "rows"
        label, tell = f"{which} into {self.draft.identifier}", self.progress
        tell(label, 0, total)
        return lambda done: tell(label, done, total)

    def end(self, mode: Mode, again: bool) -> Ingested:
        """Commit what was written, and say what became of each file."""
        draft = self.draft
        before = None if draft.base is None else facts_of(draft.base, draft.identifier)
        if self.dry_run:
            return Ingested(
                before, self._facts(before, mode), self.inferred, self._files(self.rows), True
            )
        table = draft.base
        if self.rows or table is None:
            digests = {path: self.contents[path].digest for path in self.rows}
            commit_quarantine(draft.catalog, draft.identifier, self.misfits, digests)
            table = draft.land(mode, digests, again=again)
        assert table is not None
        after = facts_of(table, draft.identifier)
        return Ingested(before, after, self.inferred, self._files(draft.files))

    def _files(self, loaded: Collection[Path]) -> tuple[LoadedFile, ...]:
        return tuple(
            LoadedFile(path, self.rows[path], misfits=self.misfits[path])
            if path in loaded
            else LoadedFile(path, 0, known=True)
            for path in self.contents
        )

    def _facts(self, before: TableFacts | None, mode: Mode) -> TableFacts:
        """The table as it would be."""
        rows = sum(self.rows.values())
        if before is None:
            return TableFacts(self.draft.identifier, rows, 0, 0, 0, None, self.columns)
        table = self.draft.table
        assert table is not None
        columns = column_types(table.schema())
        total = rows if mode == "replace" else None if before.rows is None else before.rows + rows
        return replace(before, rows=total, columns=columns)


@contextmanager
def _explained(path: Path, identifier: str) -> Iterator[None]:
    """What libraries raise of a file or of its values becomes a DataError that names the file."""
    try:
        yield
    except duckdb.Error as error:
        raise unreadable_file(path, error) from error
    except pa.ArrowInvalid as error:
        raise DataError(
            f"columns of table {identifier} do not hold its values: {first_line(error)}",
            where=str(path),
            hint="fix the values; nothing was written",
        ) from error
    except (UnsupportedPyArrowTypeException, ValidationError) as error:
        raise DataError(
            f"Iceberg has no such column: {error}",
            where=str(path),
            hint="write it as a type that Iceberg has, such as text; nothing was written",
        ) from error


def _check_delimiter(source: Source, options: FileOptions) -> None:
    """Raise where the only column is named like several with another delimiter."""
    (name, *more) = source.kinds
    other = re.search(r"\w([;\t|])\w", name)
    if format_of(source.path) == "csv" and not more and other and options.delimiter is None:
        raise DataError(
            f"its only column is {name!r}",
            where=source.place(0),
            hint=f"say --delimiter {other[1]!r}, or --delimiter ',' if that is its name",
        )


def _check(identifier: str, paths: Sequence[Path], options: FileOptions) -> None:
    if not re.fullmatch(r"\w+(\.\w+)+", identifier):
        raise ForebayError(
            f"{identifier!r} is not a table's dotted name",
            where="forebay ingest",
            hint="write namespace.table",
        )
    for path in paths:
        check_file(path)
    if options.timezone is not None:
        check_zone(options.timezone, where="--timezone")
    for option, text in (("--delimiter", options.delimiter), ("--quote", options.quote)):
        least = 0 if option == "--quote" else 1
        if text is not None and not (least <= len(text) <= 1 and text not in ("\n", "\r", "\0")):
            raise ForebayError(
                f"{text!r} is not one character", where=option, hint="give one, such as ';'"
            )
    if options.delimiter is not None and options.delimiter == options.quote:
        raise ForebayError(
            f"{options.quote!r} cannot be quote and delimiter",
            where="--delimiter",
            hint="give another, or --quote '' where there are no quotes",
        )
