"""A SELECT of an Iceberg table's columns from its data files, less the rows that were deleted.

Files with the same columns are read together; what differs among them (a partition's values, which
rows were deleted) is joined by the file's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from feature_specs.errors import DataError
from feature_specs.quote import literal, quoted
from lakehouse.constants import constant
from lakehouse.data_files.footers import Shape, has_old_calendar, path_list, shapes_of
from lakehouse.data_files.int96 import INT96_AS_STRUCT, holds_int96
from lakehouse.data_files.nan_bounds import without_bounds
from lakehouse.data_files.project_columns import FileSource, project_columns
from lakehouse.duckdb_types import column_types
from lakehouse.local_path import local_path
from lakehouse.remote.remote_files import know_files

#: Names of what is joined to a file's columns, c0, c1, ...
_FILE, ROW_NUMBER = "fb_file", "file_row_number"


def select_rows(
    table: Table,
    files: Sequence[ManifestEntry],
    deletes: Sequence[ManifestEntry] = (),
    *,
    numbered: bool = False,
) -> str:
    """A SELECT of the table's columns, as its schema now says.

    Args:
        files: entries of data files, which are to be read.
        deletes: entries of delete files; those that are not of these data files change nothing.
        numbered: with a last column ROW_NUMBER, which counts the rows of each file from 0.

    Raises:
        DataError: a file is missing, broken, encrypted, or of a kind that is not read here; it
            names the file.
    """
    types = column_types(table.schema())
    if not files:
        if numbered:
            types = {**types, ROW_NUMBER: "BIGINT"}
        columns = (f"cast(null as {kind}) as {quoted(name)}" for name, kind in types.items())
        return f"select {', '.join(columns)} where false"
    for entry in (*files, *deletes):
        _refuse_kinds(entry.data_file)
    know_files(table.io, (*files, *deletes))
    shapes = shapes_of([local_path(e.data_file.file_path) for e in files])
    groups: dict[tuple[Shape, tuple[int, ...]], list[ManifestEntry]] = {}
    for entry in files:
        shape = shapes[local_path(entry.data_file.file_path)]
        held = _identities(table, entry.data_file, shape)
        groups.setdefault((shape, tuple(held)), []).append(entry)
    return " union all ".join(
        _select_alike(table, shape, held, entries, deletes, numbered)
        for (shape, held), entries in groups.items()
    )


def _refuse_kinds(file: DataFile) -> None:
    path = local_path(file.file_path)
    if file.content == DataFileContent.EQUALITY_DELETES:
        raise DataError(
            "another engine deleted rows by equality, which is not read here",
            where=path,
            hint="compact the table in that engine (Spark: call system.rewrite_data_files with "
            "'delete-file-threshold' => '1'), or let it write position deletes or copies",
        )
    if file.file_format != FileFormat.PARQUET:
        deletes = file.content != DataFileContent.DATA
        raise DataError(
            f"a {'delete' if deletes else 'data'} file is of format {file.file_format.value}, "
            "and only Parquet is read",
            where=path,
            hint="compact the table, so that no deletion vectors are left"
            if deletes
            else "rewrite the table's files as Parquet (write.format.default = parquet)",
        )
    if file.key_metadata is not None:
        raise DataError(
            "a data file is encrypted", where=path, hint="rewrite the table without encryption"
        )


def _identities(table: Table, file: DataFile, shape: Shape) -> Mapping[int, str]:
    """SQL of the values that a file's partition gives to columns which the file may lack."""
    spec = table.specs()[file.spec_id]
    in_file = {c.field_id for c in shape if c.field_id is not None}
    values = {}
    for place, field in enumerate(spec.fields):
        if not isinstance(field.transform, IdentityTransform) or field.source_id in in_file:
            continue
        column = next((f for f in table.schema().fields if f.field_id == field.source_id), None)
        if column is not None:
            where = f"column {column.name}"
            values[field.source_id] = constant(
                file.partition[place], column.field_type, where=where
            )
    return values


def _select_alike(
    table: Table,
    shape: Shape,
    identities: Sequence[int],
    entries: Sequence[ManifestEntry],
    deletes: Sequence[ManifestEntry],
    numbered: bool,
) -> str:
    """A SELECT from files with the same columns, whose partitions have values for the same ones."""
    schema = table.schema()
    paths = [local_path(e.data_file.file_path) for e in entries]
    mapping = table.name_mapping()
    source = FileSource(
        path=paths[0],
        shape=shape,
        mapping=None if mapping is None else mapping.root,
        partition={field_id: f"partition_of.p{field_id}" for field_id in identities},
        file=_FILE,
    )
    columns = [f"c{number}" for number in range(len(shape))]
    select = project_columns(schema.fields, source, columns)
    least = min(e.sequence_number or 0 for e in entries)
    may_delete = [d for d in deletes if (d.sequence_number or 0) >= least]
    may_be_early = has_old_calendar(shape)
    options = ["hive_partitioning = false"]
    if holds_int96(shape):
        options.append(INT96_AS_STRUCT)
    if identities or may_delete or may_be_early:
        options.append(f"filename = '{_FILE}'")
    if may_delete or numbered:
        options.append(f"{ROW_NUMBER} = true")
    call = f"read_parquet({path_list(paths)}, {', '.join(options)}) as rows({', '.join(columns)})"
    rows = without_bounds(call, dict(zip(columns, shape, strict=True)))
    sql = f"select {select}{f', {ROW_NUMBER}' if numbered else ''} from {rows}"
    if identities:
        names = ", ".join([_FILE, *(f"p{field_id}" for field_id in identities)])
        values = ", ".join(
            f"({', '.join([literal(p), *_identities(table, e.data_file, shape).values()])})"
            for p, e in zip(paths, entries, strict=True)
        )
        sql += f" join (values {values}) as partition_of({names}) using ({_FILE})"
    if may_delete:
        sql += (
            f" anti join ({_deleted(entries, may_delete)}) as deleted using ({_FILE}, {ROW_NUMBER})"
        )
    return sql


def _deleted(entries: Sequence[ManifestEntry], deletes: Sequence[ManifestEntry]) -> str:
    """A SELECT of the file and number of each deleted row.

    A delete file deletes from the data files that are not newer than itself.
    """
    sources = path_list(local_path(d.data_file.file_path) for d in deletes)
    delete_rows = ", ".join(
        f"({literal(local_path(d.data_file.file_path))}, {d.sequence_number or 0})" for d in deletes
    )
    file_rows = ", ".join(
        f"({literal(e.data_file.file_path)}, {literal(local_path(e.data_file.file_path))}, "
        f"{e.sequence_number or 0})"
        for e in entries
    )
    return (
        f"select files.{_FILE}, named.pos as {ROW_NUMBER} from (select file_path, pos, delete_file from "
        f"read_parquet({sources}, hive_partitioning = false, union_by_name = true, "
        "filename = 'delete_file')) as named "
        f"join (values {delete_rows}) as deletes(delete_file, number) using (delete_file) "
        f"join (values {file_rows}) as files(uri, {_FILE}, number) "
        "on files.uri = named.file_path and deletes.number >= files.number"
    )
