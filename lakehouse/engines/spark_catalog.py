"""A lake's catalog in the words of Spark's configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from feature_specs.errors import ForebayError
from feature_specs.lake_properties import catalog_type, public_uri

_CLASS = "org.apache.iceberg.spark.SparkCatalog"
_JDBC = "org.apache.iceberg.jdbc.JdbcCatalog"
_SQLITE = "sqlite:///"


def catalog_key(name: str) -> str:
    """The setting that names a catalog's class; its others begin with it and a dot."""
    return f"spark.sql.catalog.{name}"


def catalog_conf(lake: Mapping[str, str], place: str) -> dict[str, str]:
    """The settings of an Iceberg catalog over the lake that pyiceberg keeps.

    Args:
        lake: its ``name`` and properties. Spark's catalog gets the same name, which is written
            beside each table in the catalog's database.
        place: where they are written, for errors.

    Raises:
        ForebayError: it is of a kind for which the settings are the user's to write.

    >>> lake = {"name": "l", "uri": "sqlite:////srv/c.db", "warehouse": "file:///srv/w"}
    >>> catalog_conf(lake, "profiles.yml")["spark.sql.catalog.l.uri"]
    'jdbc:sqlite:/srv/c.db'
    """
    name, uri, warehouse = lake["name"], lake.get("uri", ""), lake.get("warehouse", "")
    key = catalog_key(name)
    if catalog_type(lake) != "sql" or not warehouse.startswith("file:"):
        raise _not_written(name, f"{public_uri(uri)} with files at {warehouse}", place)
    if uri.startswith(_SQLITE):
        opened = {"uri": f"jdbc:sqlite:{uri.removeprefix(_SQLITE)}"}
    elif uri.startswith("postgresql"):
        opened = _postgres(uri)
    else:
        raise _not_written(name, public_uri(uri), place)
    given = {
        "catalog-impl": _JDBC,
        "warehouse": warehouse,
        # pyiceberg commits beside Spark, which would go on with the table that it read before.
        "cache-enabled": "false",
        **opened,
    }
    return {key: _CLASS, **{f"{key}.{word}": value for word, value in given.items()}}


def _postgres(uri: str) -> dict[str, str]:
    parts = urlsplit(uri)
    options = f"?{parts.query}" if parts.query else ""
    place = parts.netloc.rpartition("@")[2]
    found = {"uri": f"jdbc:postgresql://{place}{parts.path}{options}"}
    if parts.username:
        found["jdbc.user"] = unquote(parts.username)
    password = unquote(parts.password) if parts.password else os.environ.get("PGPASSWORD")
    if password:
        found["jdbc.password"] = password
    return found


def _not_written(name: str, what: str, place: str) -> ForebayError:
    return ForebayError(
        f"how Spark opens the lake at {what} has to be written out",
        where=place,
        hint=f"set {catalog_key(name)} and what belongs to it under `conf` of the `spark` section "
        "(docs/engines.md shows one)",
    )
