"""What is told of a lake elsewhere that cannot be opened holds no part of a password."""

from __future__ import annotations

import traceback

import pytest

from feature_specs.errors import ForebayError
from feature_specs.library_errors import explain, known_errors
from lakehouse.lake import open_lake


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql+psycopg2://me:pa@s3cr:et@127.0.0.1/db", "write @, : and / in a password as"),
        ("postgresql+psycopg2://me:pa@s3cret@127.0.0.1/db", 'host name "127.0.0.1"'),
        ("nonsense://me:s3cret@127.0.0.1/db", "check uri"),
        ("postgresql:/me:s3cret@127.0.0.1/db", "check uri"),
    ],
)
def test_a_password_that_is_not_encoded(uri: str, said: str) -> None:
    lake = {"name": "lake", "type": "sql", "uri": uri, "warehouse": "s3://bucket/lake"}
    with pytest.raises(known_errors()) as raised:
        open_lake(lake).list_namespaces()
    told = explain(raised.value)
    assert said in str(told) and "s3cr" not in str(told)
    if isinstance(raised.value, ForebayError):
        assert "s3cr" not in "".join(traceback.format_exception(raised.value))
