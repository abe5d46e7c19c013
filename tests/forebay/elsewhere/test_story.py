"""The demo's story in small on each kind of lake elsewhere; nothing keeps a credential."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import forebay
from tests.forebay.conftest import Shell
from tests.forebay.elsewhere.lakes import KINDS, open_elsewhere, write_project
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

SPINE = "customer,at\na,2024-01-09T00:00:00Z\nb,2024-01-02T12:00:00Z\n"


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_every_command_works_and_no_credential_is_kept(
    kind: tuple[str, str],
    postgres: PostgresServer,
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_elsewhere(kind, postgres, s3, tmp_path / "ware house") as lake:
        for name, value in lake.environment.items():
            monkeypatch.setenv(name, value)
        root = write_project(tmp_path / "shop", lake)
        (root / "spine.csv").write_text(SPINE)
        said = list(_story(Shell(root, monkeypatch, capsys)))
        kept = dict(_artefacts(tmp_path))
        if kind[1] == "s3":
            kept |= dict(_objects(s3))
    kept |= {f"output {number}": text.encode() for number, text in enumerate(said)}
    assert any(name.endswith("catalog.json") for name in kept)
    assert any(name.endswith("dbt.log") for name in kept)
    assert len([name for name in kept if name.endswith(".parquet")]) > 4
    leaks = [
        (name, secret)
        for name, data in kept.items()
        for secret in lake.secrets
        if secret.encode() in data
    ]
    assert leaks == []


def _story(shell: Shell) -> Iterator[str]:
    def run(*words: str) -> str:
        assert shell.run(*words) == 0, shell.out + shell.err
        return shell.out + shell.err

    yield run("ingest", "raw.payments", "payments.parquet")
    yield run("build")
    yield run("ingest", "raw.payments", "more.parquet")
    built = run("build")
    assert "spending: step 2 upserts" in built
    yield built
    yield run("train", "fraud", "--spine", "spine.csv", "--timestamp", "at", "--out", "t.parquet")
    rows = pq.read_table(shell.folder / "t.parquet").sort_by("customer").to_pylist()
    assert [(r["customer"], r["spending__spent_60d"], r["last_payment__amount"]) for r in rows] == [
        ("a", 230, 90),
        ("b", 30, 20),
    ]
    yield run("sync")
    with forebay.open(shell.folder) as client:
        vectors = client.vectors("fraud", {"customer": ["a", "nobody"]}).to_dicts()
    assert [v["spending__spent_60d"] for v in vectors] == [230, None]
    yield run("verify")
    preview = run("preview", "spending", "--key", "customer=a", "--at", "2024-01-02T12:00:00Z")
    assert "spent_60d     30" in preview
    yield preview
    yield run("plan")
    assert "raw.payments" in run("tables")
    assert "10" in run("tables", "raw.payments")
    yield run("drop", "main.last_payment", "--yes", "--force")
    assert shell.run("tables", "main.last_payment") == 2
    yield shell.out + shell.err


def _artefacts(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "profiles.yml":
            yield str(path), path.read_bytes()


def _objects(s3: S3Server) -> Iterator[tuple[str, bytes]]:
    client = s3.client()
    for bucket in client.list_buckets()["Buckets"]:
        for found in client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            key = found["Key"]
            yield key, client.get_object(Bucket=bucket["Name"], Key=key)["Body"].read()
