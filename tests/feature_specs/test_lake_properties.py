"""A lake's properties: completed for a root, and cut down to what may be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError
from feature_specs.lake_properties import (
    ProfileLake,
    lake_properties,
    public_lake,
    public_uri,
    with_credentials,
)

ROOT = Path("/projects/shop")
POSTGRES = {
    "name": "lake",
    "type": "sql",
    "uri": "postgresql+psycopg2://me:s%40cret@db:5432/lake?sslpassword=other",
    "warehouse": "s3://bucket/warehouse",
    "s3.secret-access-key": "key",
}


def test_paths_start_at_the_root_and_a_rest_catalogs_warehouse_is_a_name() -> None:
    local = lake_properties({"name": "l", "uri": "sqlite:///c.db", "warehouse": "w"}, ROOT)
    assert (local["uri"], local["warehouse"]) == (
        "sqlite:////projects/shop/c.db",
        "file:///projects/shop/w",
    )
    rest = {"name": "l", "uri": "https://h/c", "warehouse": "w", "online": "x", "ssl": True}
    assert lake_properties(rest, ROOT) == {
        "name": "l", "type": "rest", "uri": "https://h/c", "warehouse": "w", "ssl": "true",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("postgresql://me:pw@h:5/db?password=pw", "postgresql://h:5/db"),
        ("https://token@h/catalog", "https://h/catalog"),
        ("sqlite:////a@b/c.db", "sqlite:////a@b/c.db"),
        # As SQLAlchemy takes them, though a URL would have these characters encoded.
        ("postgresql+psycopg2://me:p/w@h:5/db", "postgresql+psycopg2://h:5/db"),
        ("postgresql://me:p#w@h/db", "postgresql://h/db"),
        ("postgresql://me:p?w@h/db", "postgresql://h/db"),
        ("postgresql://me:p@w@h/db", "postgresql://h/db"),
        ("postgresql://me:p://w@h/db", "postgresql://h/db"),
        ("postgresql://h:5/db", "postgresql://h:5/db"),
        ("postgresql:///db?host=/run/pg", "postgresql:///db"),
        ("me:pw@h/db", "h/db"),
        ("https://me:p/w@h/catalog", "https://h/catalog"),
        ("https://me:p#w@h/catalog", "https://h/catalog"),
        ("https://h:8181/catalog/a@b?token=t", "https://h:8181/catalog/a@b"),
        ("https://me:pw@[::1]:8181/c", "https://[::1]:8181/c"),
        ("thrift://h:9083", "thrift://h:9083"),
    ],
)
def test_no_uri_that_is_written_holds_a_credential(uri: str, public: str) -> None:
    assert public_uri(uri) == public


def test_a_catalog_is_written_without_credentials_and_opened_with_those_of_the_profile() -> None:
    text = Catalog("shop", POSTGRES, "lmdb://x").dumps()
    assert "s%40cret" not in text and "other" not in text and '"key"' not in text
    assert dict(ProfileLake(public_lake(POSTGRES), lambda: POSTGRES)) == POSTGRES


def test_a_lake_of_another_target_is_not_opened_without_its_credentials() -> None:
    other = {**POSTGRES, "uri": "postgresql://me:hidden@elsewhere/lake"}
    with pytest.raises(ForebayError, match=r"compiled for the lake at .*//db:5432/lake") as raised:
        with_credentials(public_lake(POSTGRES), other)
    assert "hidden" not in str(raised.value)
