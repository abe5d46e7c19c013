"""An Iceberg catalog in a SQLite file, read and committed to without SQLAlchemy.

Most commands look tables up, and some commit to them. PyIceberg's SqlCatalog takes a quarter of
their time to be imported, so it is opened for all else alone; both see the same file.
"""

from __future__ import annotations

import abc
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyiceberg.catalog import Catalog, MetastoreCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.io import load_file_io
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.typedef import Identifier

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

_Class = TypeVar("_Class", bound=type[MetastoreCatalog])
_SCHEME = "sqlite:///"


def is_sqlite_file(uri: str) -> bool:
    """Whether a URI names a SQLite file and nothing more: no driver, no options, not memory."""
    path = uri.removeprefix(_SCHEME)
    return uri.startswith(_SCHEME) and path not in ("", ":memory:") and "?" not in path


def _delegating(cls: _Class) -> _Class:
    """Let SqlCatalog do whatever the class does not do itself."""

    def through(name: str) -> Callable[..., Any]:
        def method(self: SqliteCatalog, *arguments: Any, **options: Any) -> Any:
            return getattr(self.full(), name)(*arguments, **options)

        method.__name__ = name
        return method

    for name in cls.__abstractmethods__:
        setattr(cls, name, through(name))
    abc.update_abstractmethods(cls)
    return cls


@_delegating
class SqliteCatalog(MetastoreCatalog):
    """Looks tables up by itself, and leaves all else to SqlCatalog."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._file = Path(properties["uri"].removeprefix(_SCHEME))
        self._full: SqlCatalog | None = None
        self._opening = threading.Lock()

    def full(self) -> SqlCatalog:
        """PyIceberg's catalog over the same file, which it makes where it is missing."""
        with self._opening:
            if self._full is None:
                from pyiceberg.catalog.sql import SqlCatalog

                self._full = SqlCatalog(self.name, **self.properties)
            return self._full

    def load_table(self, identifier: str | Identifier) -> Table:
        """A table as its newest metadata file has it.

        Raises:
            NoSuchTableError: there is none.
            sqlite3.Error: the catalog cannot be read.
        """
        names = Catalog.identifier_to_tuple(identifier)
        location = self.metadata_location(names)
        if location is None:
            raise NoSuchTableError(f"Table does not exist: {'.'.join(names)}")
        file = load_file_io(properties=self.properties, location=location).new_input(location)
        metadata = FromInputFile.table_metadata(file)
        io = self._load_file_io(metadata.properties, location)
        return Table(names, metadata, location, io, self)

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Write a table's next metadata file and name it in the catalog, as SqlCatalog does.

        Raises:
            CommitFailedException: a requirement is not met, or another writer came first.
            sqlite3.Error: the catalog cannot be written.
        """
        name = table.name()
        if self.metadata_location(name) is None:
            return self.full().commit_table(table, requirements, updates)  # makes the table
        current = self.load_table(name)
        staged = self._update_and_stage_table(current, name, requirements, updates)
        if staged.metadata != current.metadata:
            self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
            self._name_metadata(name, current.metadata_location, staged.metadata_location)
            current = staged
        return CommitTableResponse.model_construct(
            metadata=current.metadata, metadata_location=current.metadata_location
        )

    def _name_metadata(self, name: Identifier, seen: str, new: str) -> None:
        *namespace, table = name
        row = (new, seen, self.name, ".".join(namespace), table, seen)
        with closing(sqlite3.connect(self._file)) as connection, connection:
            if connection.execute(_COMPARE_AND_SET, row).rowcount < 1:
                raise CommitFailedException(
                    f"Table has been updated by another process: {'.'.join(name)}"
                )

    def metadata_location(self, identifier: str | Identifier) -> str | None:
        """The metadata file that the catalog names for a table, whether it is there or not."""
        *namespace, name = Catalog.identifier_to_tuple(identifier)
        if not self._file.exists():
            return None
        with closing(sqlite3.connect(self._file)) as connection:
            connection.row_factory = sqlite3.Row
            if not connection.execute(_HAS_TABLES).fetchall():
                return None
            row = connection.execute(_LOOK_UP, (self.name, ".".join(namespace), name)).fetchone()
        # Others may keep views there; a catalog of the first version has no such column.
        if row is None or (dict(row).get("iceberg_type") or "TABLE") != "TABLE":
            return None
        location: str | None = row["metadata_location"]
        return location


_HAS_TABLES = "select 1 from sqlite_schema where type = 'table' and name = 'iceberg_tables'"
_COMPARE_AND_SET = (
    "update iceberg_tables set metadata_location = ?, previous_metadata_location = ? where "
    "catalog_name = ? and table_namespace = ? and table_name = ? and metadata_location = ?"
)
_LOOK_UP = (
    "select * from iceberg_tables where catalog_name = ? and table_namespace = ? and table_name = ?"
)


def open_sqlite(name: str, properties: Mapping[str, str]) -> Catalog:
    """The catalog of that name in the SQLite file of ``uri``."""
    kind: Any = SqliteCatalog  # which mypy takes to be abstract
    catalog: Catalog = kind(name, **properties)
    return catalog
