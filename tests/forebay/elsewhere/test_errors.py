"""What is wrong with a lake elsewhere is one line with a hint, and no password in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forebay.conftest import Shell
from tests.forebay.elsewhere.lakes import Elsewhere, sql_lake, write_project
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

INGEST = ("ingest", "raw.payments", "payments.parquet")
Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def lake(postgres: PostgresServer, s3: S3Server) -> Elsewhere:
    """A lake that works; its warehouse ends with a slash."""
    return sql_lake(postgres, f"s3://{s3.create_bucket()}/warehouse/", s3)


@pytest.fixture
def refused(
    lake: Elsewhere,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Refusal:
    """What a command says of the lake with some of its properties or variables changed."""

    def refuse(
        *words: str, environment: dict[str, str] | None = None, **changed: str | None
    ) -> str:
        for name, value in {**lake.environment, **(environment or {})}.items():
            monkeypatch.setenv(name, value)
        config = {**lake.config, **changed}
        given = {name: value for name, value in config.items() if value is not None}
        root = write_project(tmp_path / "shop", Elsewhere(given))
        shell = Shell(root, monkeypatch, capsys)
        line = shell.refused(*(words or INGEST))
        assert not [s for s in lake.secrets if s in shell.out + shell.err]
        return line

    return refuse


def test_a_catalog_that_does_not_answer(
    refused: Refusal, lake: Elsewhere, postgres: PostgresServer
) -> None:
    line = refused("tables", uri=lake.config["uri"].replace(f":{postgres.port}/", ":1/"))
    assert "the Iceberg catalog: connection to server" in line and "Connection refused" in line
    assert "that PostgreSQL runs there" in line
    line = refused("tables", uri="http://127.0.0.1:1", type=None, warehouse=None)
    assert "the Iceberg catalog: no connection to 127.0.0.1:1: [Errno 111] Connection ref" in line
    assert "that the REST catalog runs there" in line


def test_a_wrong_password(refused: Refusal, lake: Elsewhere) -> None:
    line = refused("compile", uri=lake.config["uri"].replace(":p%40ss", ":wrong"))
    assert 'password authentication failed for user "forebay"' in line
    assert "check user and password in the forebay plugin's uri" in line


def test_a_driver_that_is_not_installed(refused: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "MySQLdb", None)
    line = refused("tables", uri="mysql://me:p%40ss%2Fw0rd%3Apostgres@127.0.0.1/lake")
    assert "the client of the catalog at mysql://127.0.0.1/lake is not installed" in line


def test_a_bucket_that_is_not_there(refused: Refusal) -> None:
    line = refused(warehouse="s3://no-such-bucket/warehouse")
    assert "bucket no-such-bucket: there is no such bucket" in line
    assert "correct `warehouse` in the forebay plugin's config" in line


def test_a_store_that_does_not_answer(refused: Refusal) -> None:
    line = refused(environment={"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"})
    assert "no connection to the object store: Failed to connect to 127.0.0.1:1" in line
    assert "check s3.endpoint and s3.region" in line


def test_a_warehouse_that_iceberg_would_cut_off(refused: Refusal) -> None:
    assert "s3://b/a#b has a '#' in it" in refused(warehouse="s3://b/a#b")


def test_a_profile_that_lacks_something_shows_no_password(refused: Refusal) -> None:
    line = refused("tables", warehouse=None, **{"s3.secret-access-key": "s3cret+key/forebay=tests"})
    assert "has no 'warehouse' in the plugin's config" in line


def test_odd_places_work(
    s3: S3Server,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """s3a, percent signs, blanks and patterns in names, a slash at the end, no region."""
    warehouse = f"s3a://{s3.create_bucket()}/ä b%20[c]*d/"
    lake = sql_lake(postgres, warehouse, s3)
    for name, value in lake.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION")
    shell = Shell(write_project(tmp_path / "shop", lake), monkeypatch, capsys)
    assert shell.run(*INGEST) == 0, shell.err
    assert shell.run("preview", "spending", "--key", "customer=a", "--at", "2024-01-02T12:00Z") == 0
    assert "spent_60d     30" in shell.out
