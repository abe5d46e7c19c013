"""What commands do not use is not loaded, and what they do does not depend on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forebay.small import make_project

pytestmark = pytest.mark.slow

SCRIPT = """
import gc, json, sys
sys.argv = ["forebay", *{words!r}]
from forebay.__main__ import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
import pyarrow as pa
assert pa.array([1, None]).to_pylist() == [1, None]
heavy = [name for name in ("numpy", "pandas", "pyparsing", "dbt", "sqlglot", "sqlalchemy") if name in sys.modules]
print(json.dumps([heavy, gc.get_threshold()[0] > 10_000]))
from forebay.load_less import load_all
load_all()
import numpy, pandas
from pyiceberg.expressions import EqualTo, parser
assert parser.parse("a = 1") == EqualTo("a", 1)
"""


def run(folder: Path, *words: str) -> tuple[list[str], bool]:
    """Which heavy modules a command loaded, and whether it seldom searches for cycles."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", SCRIPT.format(words=words)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    heavy, seldom = json.loads(done.stdout.splitlines()[-1])
    return heavy, seldom


def test_a_short_command_loads_what_it_uses(tmp_path: Path) -> None:
    root = make_project(tmp_path / "shop")
    (root / "more.csv").write_text("id,at\n1,2024-01-01T00:00:00Z\n")
    for words in (["ingest", "raw.more", "more.csv"], ["tables"]):
        heavy, seldom = run(root, *words)
        assert set(heavy) <= {"sqlalchemy"} and seldom


@pytest.mark.slow
def test_commands_that_read_load_no_compiler(tmp_path: Path) -> None:
    root = make_project(tmp_path / "shop")
    (root / "spine.csv").write_text("customer,event_timestamp\n1,2024-01-09T00:00:00Z\n")
    run(root, "build")
    for words in (
        ["sync"],
        ["verify"],
        ["train", "fraud", "--spine", "spine.csv", "--out", "set.parquet"],
    ):
        assert run(root, *words) == ([], True), words
    for command in ("plan", "monitor"):
        assert not {"numpy", "pandas", "dbt"} & set(run(root, command)[0])


@pytest.mark.parametrize(("command", "seldom"), [("build", True), ("serve", False)])
def test_python_models_have_pandas_and_servers_search_often(
    tmp_path: Path, command: str, seldom: bool
) -> None:
    heavy, searches_seldom = run(tmp_path, command, "--help")
    assert searches_seldom == seldom
    assert ("pandas" in heavy) == (command == "build")
