"""A project without a server: what it reads, and what it takes notice of."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import forebay
from feature_specs.catalog import Column
from feature_specs.errors import ForebayError
from forebay.client import Absent, Health
from serving.stores import NoStoreError
from serving.sync import sync
from tests.forebay.client.conftest import write_catalog
from tests.serving.project import Project, carriers, instant, make_view
from tests.serving.slow_store import SlowStore


@pytest.fixture
def small(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.sync_delays(1, instant("07-01T08:00"))
    write_catalog(tmp_path, project.catalog)
    return project


def n_of(client: forebay.OpenProject) -> object:
    return client.vectors(["delays:n"], {"carrier": ["AA"]}).to_dicts()[0]["delays__n"]


def test_rows_that_are_synced_are_seen_at_once(small: Project) -> None:
    with forebay.open(small.folder) as client:
        for n in range(2, 5):
            rows = carriers({"AA": (n, 0.5)})
            small.build(small.catalog.views["delays"], rows, instant(f"07-01T1{n}:00"))
            sync(small.catalog)
            assert n_of(client) == n


def test_a_project_that_is_compiled_anew_is_read_anew(small: Project) -> None:
    with forebay.open(small.folder) as client:
        assert client.services() == []
        small.service("arrival", ("delays", "delay"))
        write_catalog(small.folder, small.catalog)
        assert client.vectors("arrival", {"carrier": ["AA"]}).to_dicts() == [{"delays__delay": 0.5}]
        # Another meaning: answered as it was, until its own rows are there.
        changed = make_view("delays", semantic_hash="hash2")
        small.add(changed)
        write_catalog(small.folder, small.catalog)
        assert n_of(client) == 1
        assert client.health() == Health(True, waiting=("delays",))
        small.build(changed, carriers({"AA": (9, 0.5)}), instant("07-01T09:00"))
        sync(small.catalog)
        assert n_of(client) == 9
        assert client.health() == Health(True)


def test_a_folder_inside_the_project_and_the_current_one(
    small: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = small.folder / "models"
    inside.mkdir()
    with forebay.open(inside) as client:
        assert n_of(client) == 1
    monkeypatch.chdir(inside)
    with forebay.open() as client:
        monkeypatch.chdir(small.folder.parent)
        assert n_of(client) == 1
        assert (
            repr(client) == f"<forebay project test in {small.folder}: 1 feature views, 0 services>"
        )


def test_inside_a_running_event_loop_as_in_a_notebook(small: Project) -> None:
    async def cell() -> object:
        with forebay.open(small.folder) as client:
            return n_of(client)

    assert asyncio.run(cell()) == 1


def test_what_is_not_there_is_told(tmp_path: Path, small: Project) -> None:
    with pytest.raises(ForebayError, match=r"no dbt_project\.yml here or above"):
        forebay.open("/")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "dbt_project.yml").write_text("name: new\n")
    with pytest.raises(ForebayError, match=r"profiles\.yml"):
        forebay.open(tmp_path / "new")  # is compiled, which its setup does not allow
    away = replace(small.catalog, online=f"lmdb://{tmp_path}/none.lmdb")
    write_catalog(tmp_path, away)
    with forebay.open(tmp_path) as unsynced:
        assert {f.status for f in unsynced.features()} == {"unsynced"}
        with pytest.raises(NoStoreError, match="forebay sync"):
            n_of(unsynced)
    write_catalog(tmp_path, replace(small.catalog, root="/elsewhere", online="lmdb:///elsewhere/o"))
    with pytest.raises(ForebayError, match="was compiled in /elsewhere"):
        forebay.open(tmp_path)


def test_neither_dbt_nor_a_compiler_is_loaded(small: Project) -> None:
    code = f"""
import sys, forebay
assert not any(name.startswith("forebay.client") for name in sys.modules)
with forebay.open({str(small.folder)!r}) as client:
    print(client.vectors(["delays:n"], {{"carrier": ["AA"]}}).to_dicts())
forebay.Client("http://localhost:1")
heavy = ("dbt", "sqlglot", "duckdb", "pyiceberg", "pandas", "polars")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[{'delays__n': 1}]\n[]\n"


def test_python_s_own_open_is_left_alone() -> None:
    names: dict[str, object] = {}
    exec("from forebay import *", names)
    assert "open" not in names
    assert names["Client"] is forebay.Client


def test_a_budget_gives_what_has_come(small: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    queues = make_view("queues", entities=(Column("airport", "VARCHAR"),))
    small.add(queues)
    rows = carriers({"JFK": (40, 2.5)}).rename_columns({"carrier": "airport"})
    small.build(queues, rows, instant("07-01T08:00"))
    sync(small.catalog)
    write_catalog(small.folder, small.catalog)
    features = ["delays:n", "queues:n"]
    keys = {"carrier": ["AA"], "airport": ["JFK"]}
    with forebay.open(small.folder) as client:
        whole = client.vectors(features, keys, budget=5)
        assert whole.to_dicts() == [{"delays__n": 1, "queues__n": 40}] and not whole.absent
        SlowStore(monkeypatch).slow = {"airport"}
        part = client.vectors(features, keys, budget=0.05)
        assert part.to_dicts() == [{"delays__n": 1, "queues__n": None}]
        assert part.absent == (Absent(0, "queues", "UNAVAILABLE"),)
        for budget in (0, 61, float("nan")):
            with pytest.raises(ForebayError, match="budget"):
                client.vectors(features, keys, budget=budget)
