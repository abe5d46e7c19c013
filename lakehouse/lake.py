"""Open the lake: its Iceberg catalog and tables, and the state that feature tables carry."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlparse

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError, RESTError
from pyiceberg.table import Table
from pyiceberg.utils.config import Config

from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.lake_properties import catalog_type, is_complete
from lakehouse.data_files.read_metadata import reading_metadata
from lakehouse.moved_lake import check_in_place
from lakehouse.remote.object_store import check_plain_keys, from_environment, opening
from lakehouse.remote.remote_files import expect_remote
from lakehouse.sqlite_catalog import SqliteCatalog, is_sqlite_file, open_sqlite

STATE_PROPERTY = "forebay.state"
#: What the view was made of when its table was built, as JSON.
DEFINITION_PROPERTY = "forebay.definition"


@dataclass(frozen=True)
class FeatureState:
    """The (D, T) and query of which a feature table's rows are F(D, T).

    Attributes:
        at: T, microseconds since the epoch, UTC.
        semantic_hash: of the query that made it.
        snapshots: D, the Iceberg snapshot id read of each leaf; None for an empty table.
        readings: how the rows of each leaf were read (``lakehouse.scan.reading_of``).
    """

    at: int
    semantic_hash: str
    snapshots: Mapping[str, int | None] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)

    def dumps(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def open_lake(config: Mapping[str, str]) -> Catalog:
    """The Iceberg catalog of a project; one object a configuration in a process.

    Args:
        config: ``name`` and the catalog's own properties (``uri``, ``warehouse``, ...).

    Raises:
        ForebayError: the catalog cannot be opened.
    """
    return _open(tuple(sorted(config.items())))


@lru_cache
def _open(items: tuple[tuple[str, str], ...]) -> Catalog:
    properties = dict(items)
    name = properties.pop("name")
    properties.setdefault("type", catalog_type(properties))
    url = urlparse(properties.get("uri", ""))
    if url.scheme == "sqlite":
        Path(url.path[1:] if url.path.startswith("//") else url.path).parent.mkdir(
            parents=True, exist_ok=True
        )
    if not is_complete(properties):
        expect_remote()
        check_plain_keys(properties)
        properties = from_environment(properties)
    if properties["type"] == "sql" and is_sqlite_file(properties.get("uri", "")):
        configured = Config().get_catalog_config(name) or {}
        texts = {key: value for key, value in configured.items() if isinstance(value, str)}
        return open_sqlite(name, {**texts, **properties})
    with opening(name, properties):
        return load_catalog(name, **properties)


def load_table(catalog: Catalog, identifier: str) -> Table:
    """An Iceberg table by its dotted name.

    Raises:
        UnknownNameError: there is none; names the closest.
        DataError: its metadata file is missing or damaged, or its files are another lake's.
    """
    table = find_table(catalog, identifier)
    if table is None:
        raise UnknownNameError(
            f"there is no Iceberg table {identifier!r}",
            where=f"catalog {catalog.name}",
            hint="`forebay tables` lists what there is, `forebay ingest` loads one; "
            + did_you_mean(identifier, table_names(catalog)),
        )
    return table


def find_table(catalog: Catalog, identifier: str) -> Table | None:
    """An Iceberg table by its dotted name, or None.

    Raises:
        DataError: its metadata file is missing or damaged, or its files are another lake's, of
            which this one is a copy.
    """
    try:
        with reading_metadata(f"table {identifier}"):
            table = _load(catalog, identifier)
    except NoSuchTableError:
        return None
    uuid = str(table.metadata.table_uuid)
    check_in_place(catalog.properties, table.metadata_location, uuid)
    return table


def _load(catalog: Catalog, identifier: str) -> Table:
    namespace, _, name = identifier.rpartition(".")
    if not (name and all(namespace.split("."))):
        raise NoSuchTableError(identifier)  # pyiceberg calls it an empty namespace
    try:
        return catalog.load_table(identifier)
    except FileNotFoundError:
        named = None
        if isinstance(catalog, SqliteCatalog):
            named = catalog.metadata_location(identifier)
        if named is not None:
            check_in_place(catalog.properties, named, None)
        raise


def catalog_errors() -> tuple[type[Exception], ...]:
    """Exceptions of the catalog itself, which concern all of its tables, for an ``except`` clause."""
    found: list[type[Exception]] = [sqlite3.Error, RESTError]
    for module, name in (
        ("sqlalchemy.exc", "SQLAlchemyError"),
        ("requests.exceptions", "RequestException"),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def table_names(catalog: Catalog) -> list[str]:
    """Dotted names of all tables in the catalog, sorted."""
    return sorted(
        ".".join(name)
        for namespace in catalog.list_namespaces()
        for name in catalog.list_tables(namespace)
    )


def read_state(table: Table | None) -> FeatureState | None:
    """The state stored by a feature table's last commit, or None."""
    if table is None or STATE_PROPERTY not in table.properties:
        return None
    return FeatureState(**json.loads(table.properties[STATE_PROPERTY]))
