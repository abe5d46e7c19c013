"""One built project for all tests of the commands, and copies of it to break."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forebay.__main__ import main
from forebay.scaffold.example import copy_example
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake, table_names
from tests.forebay.small import run_here
from tests.lakehouse.read_arrow import read_arrow

NOW = "2013-12-20T12:00:00+00:00"


@dataclass
class Shell:
    """Runs commands in a folder and keeps what they printed."""

    folder: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    def run(self, *words: str) -> int:
        """The command's exit code."""
        self.patch.chdir(self.folder)
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        self.out, self.err = self.capture.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code

    def refused(self, *words: str) -> str:
        """The one line of an error: exit code 2, no traceback."""
        assert self.run(*words) == 2, self.out + self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err + self.out
        assert "Hint: " in lines[0]
        return lines[0]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example project, ingested, built and synced; tests only read it."""
    root = tmp_path_factory.mktemp("built") / "flights"
    copy_example(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for words in (["ingest", "--example", "flights"], ["build"], ["sync"]):
            run_here(*words)
    return root


@pytest.fixture
def shell(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A shell in the built project."""
    return Shell(built, monkeypatch, capsys)


@pytest.fixture
def broken(
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """A shell in a copy of the project's text, over the built project's lake, for a test to break."""
    root = tmp_path / "copy"
    copy_example(root)
    profile = root / "profiles" / "profiles.yml"
    text = profile.read_text()
    text = text.replace("sqlite:///lake", f"sqlite:///{built}/lake")
    profile.write_text(text.replace("warehouse: lake", f"warehouse: {built}/lake"))
    yield Shell(root, monkeypatch, capsys)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project that `init` makes, ingested and compiled but not built; only read."""
    root = tmp_path_factory.mktemp("small") / "shop"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root.parent)
        commands = [["init", "shop"]]
        commands += [["ingest", f"shop.{t}", f"data/{t}.csv"] for t in ("payments", "customers")]
        for words in (*commands, ["compile"]):
            run_here(*words)
            patch.chdir(root)
    return root


@pytest.fixture
def shop_shell(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A shell in a copy of the small project, over a lake of its own, with no training set yet."""
    root = tmp_path / "shop"
    shutil.copytree(shop, root, ignore=shutil.ignore_patterns("lake", "training"))
    theirs, own = (
        open_lake(
            {
                "name": "lake",
                "uri": f"sqlite:///{folder}/lake/catalog.db",
                "warehouse": f"file://{folder}/lake/warehouse",
            }
        )
        for folder in (shop, root)
    )
    for name in table_names(theirs):
        commit_rows(own, name, read_arrow(load_table(theirs, name)), mode="append")
    for file in (root / "target").rglob("*.json"):
        file.write_text(file.read_text().replace(str(shop), str(root)))
    return Shell(root, monkeypatch, capsys)
