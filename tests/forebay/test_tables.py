"""``forebay tables``, what ``forebay ingest`` says, and the names that a shell completes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import PROFILES, PROJECT, lake_of, make_project

pytestmark = pytest.mark.slow


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A project that was never compiled, over an empty lake."""
    (tmp_path / "profiles.yml").write_text(PROFILES)
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    return Shell(tmp_path, monkeypatch, capsys)


def write(shell: Shell, text: str) -> str:
    (shell.folder / "a.csv").write_text(text)
    return "a.csv"


def lines(shell: Shell) -> list[str]:
    return [" ".join(line.split()) for line in shell.out.splitlines()]


def test_a_new_table_is_shown_with_its_types(shell: Shell) -> None:
    file = write(shell, "sku,price,sold\nx,2.5,2024-01-02\ny,3,2024-01-03\n")
    assert shell.run("ingest", "shop.sales", file) == 0
    assert lines(shell) == [
        "shop.sales: 2 rows in a new table",
        "sku VARCHAR",
        "price DOUBLE",
        "sold DATE",
        "Types come from the values. For others: `forebay drop shop.sales`, then ingest with such "
        "as --types 'sku varchar'",
    ]
    assert shell.run("ingest", "shop.sales", write(shell, "price,sku,sold\n1,z,\n")) == 0
    assert lines(shell) == ["shop.sales: 1 row added, 3 rows in all"]
    assert shell.run("ingest", "shop.sales", file, "--replace", "--json") == 0
    assert json.loads(shell.out) == {
        "table": "shop.sales",
        "rows": 1,
        "total": 1,
        "created": False,
        "columns": {"sku": "VARCHAR", "price": "DOUBLE", "sold": "DATE"},
        "files": [{"file": "a.csv", "rows": 1, "loaded_before": False, "quarantined": 0}],
        "quarantined": 0,
        "dry_run": False,
    }


def test_types_that_were_asked_for_need_no_advice(shell: Shell) -> None:
    file = write(shell, "a\n1\n")
    assert shell.run("ingest", "s.t", file, "--types", "a decimal(9,2)") == 0
    assert lines(shell) == ["s.t: 1 row in a new table", "a DECIMAL(9,2)"]


def test_what_changed_of_the_columns_is_shown(shell: Shell) -> None:
    first = write(shell, "id,price,old\n1,2,3\n")
    shell.run("ingest", "s.t", first, "--types", "id integer")
    file = write(shell, "id,cost,note\n3000000000,2,x\n")
    words = ("--evolve", "--types", "id bigint", "--rename", "price=cost", "--drop-column", "old")
    assert shell.run("ingest", "s.t", file, *words) == 0, shell.err
    assert lines(shell) == [
        "s.t: 1 row added, 2 rows in all",
        "~ id BIGINT, was INTEGER",
        "+ cost BIGINT",
        "+ note VARCHAR",
        "- price",
        "- old",
    ]


def test_tables_are_listed_with_what_they_hold(shell: Shell) -> None:
    assert shell.run("tables") == 0
    assert "forebay ingest" in shell.out
    shell.run("ingest", "s.b", write(shell, "k\n1\n"))
    shell.run("ingest", "s.b", write(shell, "k\n2\n"))
    shell.run("ingest", "r.a", write(shell, "k,v\n1,x\n"))
    assert shell.run("tables") == 0
    header, *rows = lines(shell)
    assert header == "table rows size snapshots columns changed"
    assert [row.split()[:2] + row.split()[4:6] for row in rows] == [
        ["r.a", "1", "1", "2"],
        ["s.b", "2", "2", "1"],
    ]
    assert shell.run("tables", "--json") == 0
    both = json.loads(shell.out)
    assert [(t["name"], t["rows"], t["snapshots"]) for t in both] == [("r.a", 1, 1), ("s.b", 2, 2)]
    assert both[0]["columns"] == {"k": "BIGINT", "v": "VARCHAR"} and both[0]["readers"] == []


def test_one_table_is_shown_with_its_columns(shell: Shell) -> None:
    schema = pa.schema([pa.field("k", pa.int64(), nullable=False), pa.field("v", pa.string())])
    rows = pa.table({"k": [1], "v": ["x"]}, schema=schema)
    commit_rows(open_lake(lake_of(shell.folder)), "s.t", rows, mode="append")
    assert shell.run("tables", "s.t") == 0
    assert lines(shell)[0].startswith("s.t: 1 row, ")
    assert lines(shell)[2:] == [
        "read by: no compiled feature view",
        "column type",
        "k BIGINT not null",
        "v VARCHAR",
    ]
    assert shell.run("tables", "s.t", "--json") == 0
    assert json.loads(shell.out)["required"] == ["k"]


def test_a_new_table_has_one_namespace(shell: Shell) -> None:
    file = write(shell, "k\n1\n")
    assert "'a.b.t' has 2" in shell.refused("ingest", "a.b.t", file)
    assert shell.run("tables", "--json") == 0 and json.loads(shell.out) == []


@pytest.mark.parametrize("command", [("tables",), ("drop", "--yes")])
def test_a_name_of_none_gets_the_closest(shell: Shell, command: tuple[str, ...]) -> None:
    shell.run("ingest", "shop.payments", write(shell, "k\n1\n"))
    for name in ("shop.payment", "payments", "shop.", ""):
        said = shell.refused(*command, name)
        assert f"no Iceberg table {name!r}" in said and "`forebay tables` lists" in said
        assert name in ("shop.", "") or "did you mean 'shop.payments'?" in said


def test_a_table_that_cannot_be_read_stops_no_other(shell: Shell) -> None:
    for name in ("s.a", "s.b"):
        shell.run("ingest", name, write(shell, "k\n1\n"))
    table = load_table(open_lake(lake_of(shell.folder)), "s.a")
    Path(table.metadata_location.removeprefix("file://")).unlink()
    assert "metadata file is missing" in shell.refused("tables")
    assert [line.split()[0] for line in lines(shell)] == ["table", "s.b"]


def complete(folder: Path, *words: str) -> list[str]:
    """What a shell would offer for the last word; nothing else may be said, on either stream."""
    done = subprocess.run(
        [sys.executable, "-m", "forebay"],
        cwd=folder,
        env={
            **os.environ,
            "_FOREBAY_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["forebay", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.removeprefix("plain,") for line in done.stdout.split()]


def test_names_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path)
    assert Shell(root, monkeypatch, capsys).run("compile") == 0
    inside = root / "models"
    for command in ("explain", "preview", "sync", "verify", "advance"):
        assert complete(inside, command, "") == ["last_payment", "spending"], command
    assert complete(root, "sync", "spending", "") == ["last_payment"]
    assert complete(root, "train", "f") == ["fraud"]
    for command in ("drop", "tables", "ingest"):
        assert complete(root, command, "raw.") == ["raw.payments"], command
    assert "main.spending" in complete(root, "tables", "")
    assert complete(root, "preview", "spending", "--key", "") == ["customer="]
    assert complete(root, "preview", "nothing", "--key", "") == []
    catalog = root / "target/forebay/catalog.json"
    for text in ("", "{", "[]", "{}", '{"views": 1, "relations": []}', '{"views": {"a": 1}}'):
        catalog.write_text(text)
        assert complete(root, "explain", "x") == complete(root, "tables", "x") == [], text
        assert complete(root, "preview", "a", "--key", "") == [], text
    catalog.unlink()
    assert complete(root, "explain", "") == []
    assert complete(tmp_path.parent, "explain", "") == []


def test_a_file_loaded_before_adds_nothing_and_misfits_are_told(shell: Shell) -> None:
    (shell.folder / "models").mkdir(exist_ok=True)
    (shell.folder / "models" / "ingest_sources.yml").write_text(
        "sources: [{name: shop, tables: [{name: boxes, columns: [{name: n, data_type: integer}]}]}]\n"
    )
    folder = shell.folder / "in"
    folder.mkdir()
    (folder / "a.csv").write_text("n\n1\nmany\n")
    (folder / "b.csv").write_text("n\n2\n")
    assert shell.run("ingest", "shop.boxes", str(folder), "--dry-run") == 0
    assert "nothing written (--dry-run)" in shell.out
    assert "'many'" in shell.refused("ingest", "shop.boxes", str(folder), "--strict")
    assert shell.run("ingest", "shop.boxes", str(folder)) == 0
    assert "2 rows of 2 files in a new table" in shell.out
    assert "row 2: column 'n' is INTEGER, which does not hold 'many'" in shell.out
    assert "1 row in shop.boxes__quarantine" in shell.out
    assert shell.run("ingest", "shop.boxes", str(folder / "*.csv"), "--json") == 0
    told = json.loads(shell.out)
    assert [f["loaded_before"] for f in told["files"]] == [True, True] and told["total"] == 2
    assert shell.run("ingest", "shop.boxes", str(folder / "b.csv")) == 0
    assert "loaded before, adds nothing" in shell.out and "nothing added, 2 rows" in shell.out
