"""Iceberg tables as other engines write them: Parquet files and manifests made by hand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.typedef import EMPTY_DICT, Record

from lakehouse.data_files.project_columns import NAME_MAPPING
from lakehouse.lake import open_lake
from lakehouse.relations import tune
from lakehouse.scan import pin

#: What Iceberg's spec says of the columns of position deletes.
_DELETE_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), False, {"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), False, {"PARQUET:field_id": "2147483545"}),
    ]
)


def lake_in(folder: Path) -> Catalog:
    """A lake with a namespace ``raw``."""
    lake = open_lake(
        {
            "name": "lake",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": str(folder / "warehouse"),
        }
    )
    lake.create_namespace_if_not_exists("raw")
    return lake


def with_id(
    name: str, kind: pa.DataType, number: int | None = None, *, nullable: bool = True
) -> pa.Field:
    """A Parquet field that says which of the table's it is, or does not."""
    said = None if number is None else {"PARQUET:field_id": str(number)}
    return pa.field(name, kind, nullable, said)


@dataclass
class OtherEngine:
    """A table, and commits to it as another engine makes them."""

    table: Table

    @classmethod
    def create(
        cls,
        lake: Catalog,
        schema: Schema,
        spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        *,
        mapped: bool = False,
        name: str | None = None,
        **properties: str,
    ) -> OtherEngine:
        """A table; ``mapped`` gives it a name mapping, as a migration does."""
        name = name or f"raw.t{uuid.uuid4().hex}"
        table = lake.create_table(name, schema, partition_spec=spec)
        if mapped:
            properties[NAME_MAPPING] = table.schema().name_mapping.model_dump_json()
        if properties:
            with table.transaction() as change:
                change.set_properties(properties)
        return cls(table)

    def write(
        self,
        rows: pa.Table,
        *,
        at: str | None = None,
        partition: Sequence[Any] = (),
        **options: Any,
    ) -> DataFile:
        """A Parquet file under ``data/``, described for a manifest, without bounds."""
        path = self.path(at)
        pq.write_table(rows, path, **options)
        return self.described(path, rows.num_rows, partition=partition)

    def path(self, at: str | None = None) -> Path:
        path = Path(self.table.location().removeprefix("file://"), "data")
        path = path / (at or f"{uuid.uuid4()}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def described(
        self,
        path: Path,
        rows: int,
        *,
        partition: Sequence[Any] = (),
        content: DataFileContent = DataFileContent.DATA,
        kind: FileFormat = FileFormat.PARQUET,
        scheme: str = "file://",
        **said: Any,
    ) -> DataFile:
        more: dict[str, Any] = {"equality_ids": None, "key_metadata": None, **said}
        return DataFile.from_args(
            content=content,
            file_path=f"{scheme}{path}",
            file_format=kind,
            partition=Record(*partition),
            record_count=rows,
            file_size_in_bytes=path.stat().st_size if path.exists() else 1,
            sort_order_id=None,
            spec_id=self.table.metadata.default_spec_id,
            **more,
        )

    def delete_positions(self, *gone: tuple[DataFile, int], **said: Any) -> DataFile:
        """A file of position deletes."""
        path = self.path()
        rows = [{"file_path": f.file_path, "pos": position} for f, position in gone]
        pq.write_table(pa.Table.from_pylist(rows, schema=_DELETE_SCHEMA), path)
        content = DataFileContent.POSITION_DELETES
        return self.described(path, len(rows), content=content, **said)

    def commit(
        self,
        *added: DataFile,
        deletes: Sequence[DataFile] = (),
        removed: Sequence[DataFile] = (),
        operation: Operation = Operation.APPEND,
    ) -> None:
        """A snapshot with more files, and fewer."""
        names = {file.file_path for file in removed}
        known = [e.data_file for e in pin(self.table).files if e.data_file.file_path in names]
        with self.table.transaction() as transaction:
            commit = _Commit(operation, transaction, self.table.io, deletes)
            with commit:
                for file in added:
                    commit.append_data_file(file)
                for file in known:
                    commit.delete_data_file(file)

    def append(self, rows: pa.Table, **options: Any) -> DataFile:
        """Write and commit one file."""
        file = self.write(rows, **options)
        self.commit(file)
        return file

    def read(self) -> list[dict[str, Any]]:
        """The rows as we read them, in some order of their own."""
        return sorted(connection().sql(pin(self.table).sql).to_arrow_table().to_pylist(), key=str)

    def check(self) -> list[dict[str, Any]]:
        """Read the rows, and hold them and their types to pyiceberg's own reading."""
        here = connection()
        theirs = self.table.scan().to_arrow()
        here.register("theirs", theirs)
        here.execute(f"create view ours as {pin(self.table).sql}")
        shown = [here.execute(f"describe {name}").fetchall() for name in ("ours", "theirs")]
        assert shown[0] == shown[1]
        for one, other in (("ours", "theirs"), ("theirs", "ours")):
            more = here.execute(f"from {one} except all from {other}").fetchall()
            assert not more, f"in {one} alone: {more}"
        return self.read()


class _Commit(_OverwriteFiles):
    def __init__(
        self,
        operation: Operation,
        transaction: Transaction,
        io: FileIO,
        deletes: Sequence[DataFile],
    ) -> None:
        # pyiceberg cannot sum up a compaction.
        writes = Operation.OVERWRITE if operation is Operation.REPLACE else operation
        super().__init__(writes, transaction, io)
        self.deletes, self.said = deletes, operation

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        summed = super()._summary(snapshot_properties)
        return Summary(self.said, **summed.additional_properties)

    def _existing_manifests(self) -> list[ManifestFile]:
        return [*super()._existing_manifests(), *self._delete_manifests()]

    def _delete_manifests(self) -> list[ManifestFile]:
        if not self.deletes:
            return []
        metadata = self._transaction.table_metadata
        writer = _DeleteManifestWriter(
            metadata.spec(),
            metadata.schema(),
            self.new_manifest_output(),
            self._snapshot_id,
            "null",
        )
        with writer:
            for file in self.deletes:
                writer.add(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=self._snapshot_id,
                        sequence_number=None,
                        file_sequence_number=None,
                        data_file=file,
                    )
                )
        return [writer.to_manifest_file()]


class _DeleteManifestWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> Mapping[str, str]:  # type: ignore[override]
        return {**super()._meta, "content": "deletes"}


def connection() -> duckdb.DuckDBPyConnection:
    """A DuckDB session as ours are."""
    here = duckdb.connect()
    tune(here)
    return here
