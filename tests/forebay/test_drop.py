"""``forebay drop``: what it asks and refuses, what is gone afterwards, and what is kept."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from lakehouse.commit import commit_rows
from lakehouse.lake import find_table, load_table, open_lake, table_names
from tests.forebay.conftest import Shell
from tests.forebay.small import PROFILES, PROJECT

TABLE = "shop.sales"


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A project that was never compiled, with one table of two snapshots."""
    (tmp_path / "profiles.yml").write_text(PROFILES)
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    shell = Shell(tmp_path, monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)
    for n in (1, 2):
        commit_rows(lake_of(shell), TABLE, pa.table({"n": [n]}), mode="append")
    return shell


def lake_of(shell: Shell) -> Catalog:
    folder = shell.folder / "lake"
    return open_lake(
        {
            "name": "lake",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": f"{folder}/warehouse",
        }
    )


def files(shell: Shell) -> list[Path]:
    return [p for p in (shell.folder / "lake" / "warehouse").rglob("*") if p.is_file()]


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What somebody at a terminal types."""
    stream = io.StringIO(text)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", stream)


def test_yes_drops_rows_history_and_files(shell: Shell) -> None:
    assert shell.run("drop", TABLE, "--yes") == 0
    assert shell.out.splitlines() == [
        f"{TABLE}: 2 rows, 2 snapshots, 2 files",
        "read by: no compiled feature view",
        f"{TABLE} is dropped",
    ]
    assert find_table(lake_of(shell), TABLE) is None and files(shell) == []
    assert f"no Iceberg table '{TABLE}'" in shell.refused("drop", TABLE, "--yes")


def test_a_dry_run_drops_nothing(shell: Shell) -> None:
    assert shell.run("drop", TABLE, "--dry-run", "--json") == 0
    said = json.loads(shell.out)
    assert (said["rows"], said["files"], said["dropped"]) == (2, 2, False)
    assert load_table(lake_of(shell), TABLE).scan().count() == 2


def test_nobody_to_ask_drops_nothing(shell: Shell) -> None:
    assert "nobody was asked" in shell.refused("drop", TABLE)
    assert load_table(lake_of(shell), TABLE).scan().count() == 2


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 0), ("n\n", 130, 2), ("", 130, 2)])
def test_it_asks_at_a_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, left: int
) -> None:
    """The end of input counts as no, as Ctrl-C does."""
    answer(monkeypatch, typed)
    assert shell.run("drop", TABLE) == code
    assert f"Drop {TABLE} and its files for good?" in shell.out
    assert sum(str(p).endswith(".parquet") for p in files(shell)) == left


def test_an_interrupt_while_it_asks_drops_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    answer(monkeypatch, "")
    monkeypatch.setattr("click.confirm", interrupted)
    assert shell.run("drop", TABLE) == 130
    assert "stopped" in shell.err
    assert load_table(lake_of(shell), TABLE).scan().count() == 2


def test_a_table_that_is_not_there_is_named_with_the_closest(shell: Shell) -> None:
    line = shell.refused("drop", "shop.sale", "--yes")
    assert "no Iceberg table 'shop.sale'" in line and "did you mean 'shop.sales'?" in line


def test_files_that_others_put_there_are_kept(shell: Shell) -> None:
    raw = shell.folder / "raw.parquet"
    pq.write_table(pa.table({"n": pa.array([3])}), raw)
    load_table(lake_of(shell), TABLE).add_files([str(raw)])
    assert shell.run("drop", TABLE, "--yes") == 0
    assert f"{raw}: kept, since others put them there" in shell.out
    assert raw.exists() and files(shell) == []


def test_a_damaged_table_can_be_dropped(shell: Shell) -> None:
    table = load_table(lake_of(shell), TABLE)
    first, last = table.snapshots()
    Path(first.manifest_list).unlink()
    Path(last.manifest_list).write_text("not avro")
    assert shell.run("drop", TABLE, "--yes") == 0
    assert "could not be read" in shell.out and first.manifest_list in shell.out
    assert table_names(lake_of(shell)) == []


def test_a_table_without_rows_can_be_dropped(shell: Shell) -> None:
    lake_of(shell).create_table("shop.none", Schema(NestedField(1, "n", LongType())))
    assert shell.run("drop", "shop.none", "--yes") == 0
    assert table_names(lake_of(shell)) == [TABLE]


def test_killed_in_the_midst_the_table_is_gone_and_can_be_made_anew(shell: Shell) -> None:
    """The catalog comes first: nobody sees a table that lacks files."""
    script = (
        "import os, signal, sys\n"
        "from pyiceberg.io.pyarrow import PyArrowFileIO\n"
        "PyArrowFileIO.delete = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from forebay.__main__ import main\n"
        f"main(['drop', '{TABLE}', '--yes'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=shell.folder, env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert find_table(lake_of(shell), TABLE) is None
    (shell.folder / "a.csv").write_text("n\n7\n")
    assert shell.run("ingest", TABLE, "a.csv") == 0
    assert load_table(lake_of(shell), TABLE).scan().to_arrow().to_pylist() == [{"n": 7}]


@pytest.mark.slow
def test_a_table_that_views_read_needs_force(shop_shell: Shell) -> None:
    line = shop_shell.refused("drop", "shop.payments", "--yes")
    assert "read table shop.payments" in line or "reads table shop.payments" in line
    assert "--force" in line
    assert shop_shell.run("drop", "shop.payments", "--dry-run") == 0
    assert "read by: " in shop_shell.out and "no compiled feature view" not in shop_shell.out
    assert shop_shell.run("drop", "shop.payments", "--yes", "--force") == 0
    assert shop_shell.run("ingest", "shop.payments", "data/payments.csv") == 0
