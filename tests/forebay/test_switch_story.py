"""A view's new definition is switched to and back from while it is asked: nothing failed, nothing wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_specs.catalog import load_catalog
from lakehouse.commit import commit_rows
from lakehouse.feature_tables.generations import generation_tag, kept_generations
from lakehouse.lake import load_table, open_lake, read_state
from serving.state import load_state
from serving.stores import StoredView, open_store
from serving.sync.meanings import GRACE_S
from tests.forebay.conftest import Shell
from tests.forebay.small import SPENDING, edit, lake_of, make_project, payments
from tests.forebay.test_version_story import SECOND, V1, V2, Load
from tests.serving.server_process import ServerProcess

pytestmark = pytest.mark.slow

#: The payments that come while the second definition is current: one of each customer, on day 9.
LATER = V1 | {"payments_60d": 5, "spent_60d": 230, "most_60d": 90}
FILE = "models/spending.sql"
_KILLED = """
import os, signal, sys
import forebay.builds.switch_view as made
from forebay.__main__ import main
made.sync = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(make_project(tmp_path / "shop"), monkeypatch, capsys)


@pytest.fixture
def load(shell: Shell) -> Iterator[Load]:
    run(shell, "build")
    run(shell, "sync")
    folder = shell.folder / "target/forebay"
    server = ServerProcess(load_catalog(folder / "catalog.json"), folder)
    server.start()
    try:
        with Load(server.url) as load:
            yield load
    finally:
        server.stop()
    assert load.wrong == [] and load.answers > 100


def run(shell: Shell, *words: str) -> None:
    assert shell.run(*words) == 0, shell.out + shell.err


def define(shell: Shell, sql: str) -> None:
    (shell.folder / FILE).write_text(sql)


def hash_of_table(shell: Shell) -> str:
    state = read_state(load_table(open_lake(lake_of(shell.folder)), "main.spending"))
    assert state is not None
    return state.semantic_hash


def trained(shell: Shell) -> dict[str, int]:
    """What a training set has for customer a at the project's clock."""
    spine = shell.folder / "spine.parquet"
    rows = {"customer": ["a"], "at": pa.array([1704844800000000], pa.timestamp("us", tz="UTC"))}
    pq.write_table(pa.table(rows), spine)
    words = ("--spine", "spine.parquet", "--timestamp", "at", "--out", "out.parquet")
    run(shell, "train", "fraud", *words)
    (row,) = pq.read_table(shell.folder / "out.parquet").to_pylist()
    return {n.partition("__")[2]: v for n, v in row.items() if n.startswith("spending__")}


def test_forward_and_back(shell: Shell, load: Load) -> None:
    load.pass_on()
    first = hash_of_table(shell)
    # The second definition is computed beside the first, which is answered until the sync.
    define(shell, SECOND)
    run(shell, "build", "--select", "spending")
    load.pass_on()
    load.expected = [V1, V2]
    run(shell, "sync")
    load.pass_to(V2)
    assert trained(shell) == V2
    second = hash_of_table(shell)
    assert second != first
    # Back, but not before the text is: what trains and what serves are of one definition.
    assert FILE in shell.refused("switch", "spending", "--back")
    define(shell, SPENDING)
    run(shell, "switch", "spending", "--back", "--dry-run")
    run(shell, "switch", "spending", "--json")
    assert [(r["semantic_hash"], r["current"], r["compiled"]) for r in json.loads(shell.out)] == [
        (second, True, False),
        (first, False, True),
    ]
    assert hash_of_table(shell) == second
    load.pass_on()
    load.expected = [V2, V1]
    # Killed once the feature table is switched, before the online store is.
    words = [sys.executable, "-c", _KILLED, "switch", "spending", "--back"]
    killed = subprocess.run(words, cwd=shell.folder, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert hash_of_table(shell) == first
    load.expected = [V2]
    load.pass_on()
    load.expected = [V2, V1]
    run(shell, "switch", "spending", "--back", "--json")
    made = json.loads(shell.out)
    assert (made["offline"], made["online"]["action"]) == (False, "unchanged")
    load.pass_to(V1)
    assert trained(shell) == V1
    run(shell, "verify")
    assert FILE in shell.refused("switch", "spending", "--back")
    # Forth and, over rows that came meanwhile, back by a build: a step, nothing in full.
    define(shell, SECOND)
    load.expected = [V1, V2]
    run(shell, "switch", "spending", "--back")
    load.pass_to(V2)
    lake = open_lake(lake_of(shell.folder))
    commit_rows(lake, "raw.payments", payments((9,)), mode="append")
    define(shell, SPENDING)
    run(shell, "plan", "--json")
    plans = {p["view"]: p for p in json.loads(shell.out)["views"]}
    assert plans["spending"]["recompute"] == "step" and "kept" in plans["spending"]["why"]
    run(shell, "build", "--select", "spending")
    load.pass_on()
    load.expected = [V2, LATER]
    run(shell, "sync")
    load.pass_to(LATER)
    assert trained(shell) == LATER
    run(shell, "verify")


def test_after_a_day_maintain_takes_what_was_kept(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(shell, "build")
    run(shell, "sync")
    first = hash_of_table(shell)
    define(shell, SECOND)
    run(shell, "build")
    run(shell, "sync")
    lake, folder = open_lake(lake_of(shell.folder)), shell.folder
    run(shell, "maintain", "--keep-hours", "0")
    assert [g.tag for g in kept_generations(load_table(lake, "main.spending"))] == [
        generation_tag(first)
    ]
    store = open_store(f"lmdb://{folder}/online.lmdb")
    names = [s for s in store.states() if s.name.startswith("spending@")]
    assert len(names) == 2
    for stored in names:
        raw = store.get_state(StoredView(stored.name, ("customer",)))
        state = load_state(raw)
        assert raw is not None and state is not None
        if state.retired is not None:
            # As it will stand a day from now.
            long_ago = raw.replace(
                str(state.retired).encode(), str(state.retired - GRACE_S * 10**6 - 1).encode()
            )
            store.write(stored, (), (), long_ago, replace=False)
    store.close()
    run(shell, "maintain", "main.spending")
    assert "online" not in shell.out, "who names a table leaves the online store alone"
    run(shell, "maintain", "--dry-run")
    assert "online spending@" in shell.out and "would go" in shell.out
    run(shell, "maintain", "--dry-run", "--json")
    (gone,) = [each for each in json.loads(shell.out) if "online" in each]
    assert gone == {"online": next(s.name for s in names if s.name in shell.out), "dry_run": True}
    run(shell, "maintain")
    assert "online spending@" in shell.out
    store = open_store(f"lmdb://{folder}/online.lmdb", readonly=True)
    assert len([s for s in store.states() if s.name.startswith("spending@")]) == 1
    store.close()
    # Switching back still works online: the rows are written anew from the table.
    define(shell, SPENDING)
    run(shell, "switch", "spending", "--back", "--json")
    assert json.loads(shell.out)["online"]["action"] == "replaced"


def test_what_cannot_be_switched_to_is_told(shell: Shell) -> None:
    assert "not built" in shell.refused("switch", "spending", "--back")
    run(shell, "build")
    define(shell, SECOND)
    line = shell.refused("switch", "spending", "--back")
    assert "no rows of this definition" in line and "forebay build --select spending" in line
    edit(shell.folder, FILE, "'5' day", "'6' day")
    assert "spendin" in shell.refused("switch", "spendin", "--back")
