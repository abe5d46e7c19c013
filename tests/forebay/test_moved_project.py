"""A project that was copied or moved: nothing of the original is read, written or dropped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from feature_specs.catalog import Catalog as Compiled
from feature_specs.catalog_root import check_root
from feature_specs.errors import DataError, ForebayError
from lakehouse.commit import commit_rows
from lakehouse.drop_table import drop_table
from lakehouse.lake import find_table, load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import PROFILES, PROJECT
from tests.lakehouse.read_arrow import read_arrow

TABLE = "shop.sales"


def lake_in(folder: Path, **other: str) -> Catalog:
    lake = folder / "lake"
    config = {"name": "lake", "uri": f"sqlite:///{lake}/catalog.db", "warehouse": f"{lake}/wh"}
    return open_lake(config | other)


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A project's folder, with one table of two snapshots in its lake."""
    folder = tmp_path / "my project"
    folder.mkdir()
    for n in (1, 2):
        commit_rows(lake_in(folder), TABLE, pa.table({"n": [n]}), mode="append")
    return folder


def test_the_commands_leave_the_original_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(tmp_path / "p", monkeypatch, capsys)
    shell.folder.mkdir()
    (shell.folder / "profiles.yml").write_text(PROFILES)
    (shell.folder / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "sales.csv").write_text("n\n1\n")
    assert shell.run("ingest", TABLE, str(tmp_path / "sales.csv")) == 0
    before = contents(shell.folder)
    copy = Shell(tmp_path / "q", monkeypatch, capsys)
    shutil.copytree(shell.folder, copy.folder)
    for command in (["drop", TABLE, "--yes"], ["ingest", TABLE, str(tmp_path / "sales.csv")]):
        line = copy.refused(*command)
        assert f"was copied from {shell.folder} to {copy.folder}" in line
        assert "Copying or moving a project" in line
    assert contents(shell.folder) == before
    # What the docs say to do.
    clean = Shell(tmp_path / "r", monkeypatch, capsys)
    shutil.copytree(shell.folder, clean.folder, ignore=shutil.ignore_patterns("lake", "target"))
    assert clean.run("ingest", TABLE, str(tmp_path / "sales.csv")) == 0
    assert contents(shell.folder) == before
    assert shell.run("drop", TABLE, "--yes") == 0


def test_a_copy_reads_writes_and_drops_nothing(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    before = contents(original)
    lake = lake_in(copy)
    for attempt in (
        lambda: load_table(lake, TABLE),
        lambda: commit_rows(lake, TABLE, pa.table({"n": [3]}), mode="append"),
        lambda: drop_table(lake, TABLE),
    ):
        with pytest.raises(DataError, match=f"was copied from {original} to {copy}"):
            attempt()
    # Metadata that came later, by a forebay that did not look, is no reason to go on.
    commit_rows(lake_in(original), TABLE, pa.table({"n": [3]}), mode="append")
    shutil.copy(original / "lake" / "catalog.db", copy / "lake" / "catalog.db")
    with pytest.raises(DataError, match="was copied from"):
        load_table(lake, TABLE)
    assert {p: t for p, t in contents(original).items() if p in before and p.suffix != ".db"} == {
        p: t for p, t in before.items() if p.suffix != ".db"
    }


def test_a_moved_project_works_again_behind_a_link(original: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    original.rename(moved)
    with pytest.raises(DataError, match=f"was moved from {original} to {moved}") as caught:
        load_table(lake_in(moved), TABLE)
    assert f"ln -s {moved} {original}" in str(caught.value)
    original.symlink_to(moved)
    commit_rows(lake_in(moved), TABLE, pa.table({"n": [3]}), mode="append")
    assert sorted(read_arrow(load_table(lake_in(moved), TABLE))["n"].to_pylist()) == [1, 2, 3]
    assert drop_table(lake_in(moved), TABLE).elsewhere == ()


def test_a_file_that_is_gone_is_no_move(original: Path) -> None:
    Path(load_table(lake_in(original), TABLE).metadata_location.removeprefix("file://")).unlink()
    with pytest.raises(DataError, match="a metadata file is missing"):
        find_table(lake_in(original), TABLE)


def test_other_spellings_of_one_place(original: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(original)
    wh = original / "lake" / "wh"
    for spelled in (
        wh.parent / ".." / "lake" / "wh",
        tmp_path / "link" / "lake" / "wh",
        f"file://{wh}",
        f"file:///{original}/lake/./wh/",
    ):
        found = load_table(lake_in(original, warehouse=str(spelled)), TABLE)
        assert read_arrow(found).num_rows == 2


def test_a_table_that_lies_elsewhere_on_purpose(original: Path, tmp_path: Path) -> None:
    lake = lake_in(original)
    data = tmp_path / "data.parquet"
    pq.write_table(pa.table({"n": [1]}), data)
    lake.create_namespace("ext")
    lake.create_table("ext.inside", pa.schema({"n": pa.int64()})).add_files([str(data)])
    far = lake.create_table(
        "ext.sales", pa.schema({"n": pa.int64()}), location=f"file://{tmp_path}/far/ext/sales"
    )
    far.append(pa.table({"n": [1, 2, 3]}))
    assert read_arrow(load_table(lake, "ext.inside")).num_rows == 1
    commit_rows(lake, "ext.sales", pa.table({"n": [4]}), mode="append")
    assert read_arrow(load_table(lake, "ext.sales")).num_rows == 4
    # Its files are not the warehouse's, so they outlive its name.
    kept = drop_table(lake, "ext.sales").elsewhere
    assert kept and all(Path(k.removeprefix("file://")).exists() for k in kept)
    assert drop_table(lake, "ext.inside").elsewhere == (str(data),)


def test_a_new_warehouse_for_new_tables(original: Path, tmp_path: Path) -> None:
    lake = lake_in(original, warehouse=str(tmp_path / "new"))
    commit_rows(lake, TABLE, pa.table({"n": [3]}), mode="append")
    commit_rows(lake, "shop.others", pa.table({"n": [3]}), mode="append")
    assert read_arrow(load_table(lake, TABLE)).num_rows == 3


def test_what_was_compiled_elsewhere_is_not_used(tmp_path: Path) -> None:
    was, now = tmp_path / "was", tmp_path / "now"
    now.mkdir()
    inside = {"uri": f"sqlite:///{was}/lake/catalog.db", "warehouse": f"file://{was}/lake/wh"}
    with pytest.raises(ForebayError, match=f"compiled in {was}"):
        check_root(Compiled("p", inside, "lmdb:///x/online", root=str(was)), now)
    with pytest.raises(ForebayError, match="forebay compile"):
        check_root(Compiled("p", {}, f"lmdb://{was}/online", root=str(was)), now)
    # A lake and a store that lie elsewhere are the same from wherever they are asked.
    check_root(Compiled("p", {"uri": "postgresql://h/d"}, "lmdb:///x/online", root=str(was)), now)
    was.symlink_to(now)
    check_root(Compiled("p", inside, f"lmdb://{was}/online", root=str(was)), now)
