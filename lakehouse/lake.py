"""Opening the lake: an Iceberg catalog and its tables, and the state that feature tables carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlparse

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from feature_specs.errors import ForebayError, UnknownNameError, did_you_mean

STATE_PROPERTY = "forebay.state"
#: What the view was made of when its table was built, as JSON.
DEFINITION_PROPERTY = "forebay.definition"


@dataclass(frozen=True)
class FeatureState:
    """What a feature table's rows are: F(D, T) of one query.

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
    url = urlparse(properties.get("uri", ""))
    if url.scheme == "sqlite":
        Path(url.path[1:] if url.path.startswith("//") else url.path).parent.mkdir(
            parents=True, exist_ok=True
        )
    if properties.get("type", "sql") == "sql":
        properties.setdefault("type", "sql")
    try:
        return load_catalog(name, **properties)
    except ValueError as error:
        raise ForebayError(
            f"cannot open the Iceberg catalog {name!r}: {error}",
            where="profiles.yml",
            mend="check uri and warehouse in the forebay plugin's config",
        ) from error


def load_table(catalog: Catalog, identifier: str) -> Table:
    """An Iceberg table by its dotted name.

    Raises:
        UnknownNameError: there is none; names the closest.
    """
    try:
        return catalog.load_table(identifier)
    except NoSuchTableError:
        raise UnknownNameError(
            f"there is no Iceberg table {identifier!r}",
            where=f"catalog {catalog.name}",
            mend=f"load it with `forebay ingest`; {did_you_mean(identifier, table_names(catalog))}",
        ) from None


def find_table(catalog: Catalog, identifier: str) -> Table | None:
    """An Iceberg table by its dotted name, or None."""
    try:
        return catalog.load_table(identifier)
    except NoSuchTableError:
        return None


def table_names(catalog: Catalog) -> list[str]:
    """Dotted names of all tables in the catalog, sorted."""
    return sorted(
        ".".join(name)
        for namespace in catalog.list_namespaces()
        for name in catalog.list_tables(namespace)
    )


def read_state(table: Table | None) -> FeatureState | None:
    """The state that a feature table's last commit left, or None where there is no such commit."""
    if table is None or STATE_PROPERTY not in table.properties:
        return None
    return FeatureState(**json.loads(table.properties[STATE_PROPERTY]))


def read_arrow(table: Table) -> pa.Table:
    """All current rows."""
    return table.scan().to_arrow()


def local_path(uri: str) -> str:
    """The path of a ``file://`` URI, taken as it stands, as pyiceberg does; other URIs unchanged."""
    url = urlparse(uri)
    return url.path if url.scheme in ("", "file") else uri
