"""Two builds at once, and a database that somebody else has open."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.find_holder import find_holder, wait_for_database
from forebay.dbt_project.name_holder import held_error
from forebay.dbt_project.project import Project
from lakehouse.run_lock import HeldError, hold_project
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, make_project

pytestmark = pytest.mark.slow

OPEN = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"
BUILD = (
    "import sys, time; from pathlib import Path; from lakehouse.run_lock import hold_project\n"
    "with hold_project(Path(sys.argv[1]), 'forebay build'):\n"
    "    print('held', flush=True); time.sleep(60)"
)


@contextmanager
def running(code: str, argument: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, once it has said that it is there."""
    command = [sys.executable, "-c", code, str(argument)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().strip()
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(make_project(tmp_path / "shop"))


@pytest.fixture
def database(project: Project) -> Path:
    path = project.root / "target/shop.duckdb"
    path.parent.mkdir(exist_ok=True)
    duckdb.connect(str(path)).close()
    return path


def test_a_second_holder_is_told_of_the_first_and_may_wait(tmp_path: Path) -> None:
    with running(BUILD, tmp_path) as first:
        with pytest.raises(HeldError) as told, hold_project(tmp_path, "forebay compile"):
            pass
        assert f"`forebay build`, process {first.pid}, since " in told.value.what
        first.kill()
        with hold_project(tmp_path, "forebay build", wait=30):
            assert "forebay build" in (tmp_path / "lock").read_text()
    assert (tmp_path / "lock").read_text() == ""


def test_one_process_may_ask_again(tmp_path: Path) -> None:
    with hold_project(tmp_path, "forebay build"), hold_project(tmp_path, "forebay compile"):
        pass


def test_who_has_the_database_open_is_named(project: Project, database: Path) -> None:
    assert find_holder(project) is None
    with running(OPEN, database) as holder:
        found = find_holder(project)
        assert found is not None and f"process {holder.pid} (python" in found.what
        assert str(database) in str(found.where)
        with pytest.raises(HeldError):
            wait_for_database(project)
        holder.kill()
        wait_for_database(project, wait=30)


def test_a_database_that_is_not_there_is_held_by_nobody(project: Project) -> None:
    assert find_holder(project) is None
    assert not (project.root / "target/shop.duckdb").exists()
    edit(project.root, "profiles/profiles.yml", "target/shop.duckdb", "':memory:'")
    assert find_holder(Project(project.root)) is None


def test_other_messages_are_of_no_lock() -> None:
    assert held_error("Catalog Error: Table with name lock does not exist") is None


def test_compile_writes_nothing_beneath_a_build(project: Project) -> None:
    compile_project(project)
    folder = project.folder
    before = {p: p.read_text() for p in folder.rglob("*.sql")}
    with running(BUILD, folder):
        compile_project(Project(project.root))  # as it is already: nothing is written
        edit(project.root, "models/spending.sql", "'60' day", "'45' day")
        with pytest.raises(HeldError, match="forebay build"):
            compile_project(Project(project.root))
    assert {p: p.read_text() for p in folder.rglob("*.sql")} == before
    compile_project(Project(project.root))
    assert "45" in (folder / "sql/duckdb/spending/create.sql").read_text()


@pytest.mark.slow
def test_questions_are_answered_while_a_notebook_has_the_database_open(
    project: Project,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell = Shell(project.root, monkeypatch, capsys)
    with running(OPEN, database) as holder:
        for words in (
            ("compile",), ("plan",), ("explain", "spending"),
            ("preview", "spending", "--key", "customer=a"), ("docs",),
        ):  # fmt: skip
            assert shell.run(*words) == 0, shell.err
        line = shell.refused("build")
        assert f"process {holder.pid} (python" in line and "--wait" in line
        started = time.monotonic()
        shell.refused("build", "--wait", "1")
        assert time.monotonic() - started >= 1
        holder.kill()
    assert shell.run("build", "--wait", "--select", "spending", "last_payment") == 0, shell.err
    assert shell.run("plan") == 0
    assert shell.out.count("nothing") == 2
