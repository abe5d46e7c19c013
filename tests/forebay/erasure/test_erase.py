"""``forebay erase``: nothing of the entity is left anywhere, and all others are as they were."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import read_manifest_list

import forebay
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake, table_names
from tests.forebay.conftest import Shell
from tests.forebay.small import lake_of, make_project, run_here

pytestmark = pytest.mark.slow

#: Names that stand nowhere by chance.
ZOE, YAN, WIM, VIC, EVE = (f"{n}-5f1c0a9b" for n in ("zoe", "yan", "wim", "vic", "eve"))
ALL = (ZOE, YAN, WIM, VIC, EVE)


def payments(*days: int) -> pa.Table:
    rows = [
        (who, datetime(2024, 1, day, tzinfo=UTC), 10 * day + place)
        for day in days
        for place, who in enumerate(ALL)
    ]
    customers, times, amounts = zip(*rows, strict=True)
    stamp = pa.timestamp("us", tz="UTC")
    return pa.table(
        {"customer": customers, "paid_at": pa.array(times, stamp), "amount": pa.array(amounts)}
    )


def pay(root: Path, *days: int) -> None:
    commit_rows(open_lake(lake_of(root)), "raw.payments", payments(*days), mode="append")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project built in two steps, synced, with a training set; tests erase one customer each."""
    root = make_project(tmp_path_factory.mktemp("erase"))
    spine = "".join(f"{who},2024-01-09 00:00:00Z\n" for who in ALL)
    (root / "spine.csv").write_text(f"customer,at\n{spine}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        pay(root, 1, 2, 3)
        run_here("build")
        run_here("sync")
        pay(root, 4, 8)
        run_here("build")
        run_here("sync")
        run_here("train", "fraud", "--spine", "spine.csv", "--timestamp", "at")
        yield root


@pytest.fixture
def shell(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(root, monkeypatch, capsys)


def is_in(root: Path, who: str) -> set[str]:
    """Every file of the project and its lake that has a customer's name, by plain reading: Parquet
    and manifests decoded, all others as bytes. LMDB keeps freed pages, so it is read as a store."""
    found = set()
    skipped = (".lmdb", "logs", "spine.csv", "target/shop.duckdb")
    for path in (p for p in root.rglob("*") if p.is_file()):
        if any(part in str(path) for part in skipped):
            continue
        if path.suffix == ".parquet":
            held = who in str(pq.read_table(path).to_pydict())
        else:
            held = who.encode() in path.read_bytes()
        if held:
            found.add(str(path.relative_to(root)))
    lake = open_lake(lake_of(root))
    for name in table_names(lake):
        table = load_table(lake, name)
        for snapshot in table.snapshots():
            for manifest in read_manifest_list(table.io.new_input(snapshot.manifest_list)):
                for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                    bounds = (entry.data_file.lower_bounds, entry.data_file.upper_bounds)
                    if who.encode() in repr(bounds).encode():
                        found.add(f"{name}: a manifest")
    return found


def vectors(root: Path, who: str) -> list[object]:
    with forebay.open(root) as project:
        row = project.vectors("fraud", {"customer": [who]}).to_pandas()
    return [None if pd.isna(value) else value for value in row.iloc[0].tolist()]


def expected(who: str) -> list[object]:
    """The features at 2024-01-10 of payments on days 1, 2, 3, 4 and 8, and the project's own days
    of nobody here."""
    amounts = [10 * day + ALL.index(who) for day in (1, 2, 3, 4, 8)]
    return [len(amounts), sum(amounts), max(amounts), amounts[-1]]


def test_a_dry_run_changes_nothing(shell: Shell) -> None:
    assert vectors(shell.folder, ZOE)[-4:] == expected(ZOE)
    before = is_in(shell.folder, ZOE)
    assert shell.run("erase", f"customer={ZOE}", "--dry-run", "--json") == 0, shell.err
    made = json.loads(shell.out)
    rows = {p["name"]: p["rows"] for p in made["places"]}
    assert rows["raw.payments"] == 5 and rows["main.spending"] == rows["spending"] == 1
    assert is_in(shell.folder, ZOE) == before != set()
    assert vectors(shell.folder, ZOE)[-4:] == expected(ZOE)


def test_training_sets_are_kept_and_told_until_they_are_asked_for(shell: Shell) -> None:
    root = shell.folder
    assert shell.run("erase", f"customer={ZOE}", "--yes", "--json") == 1, shell.err
    kept = {Path(k["name"]).name: k for k in json.loads(shell.out)["kept"]}
    assert "fraud.parquet" in kept and "--training-sets" in kept["fraud.parquet"]["why"]
    assert "--training-sets" in kept["raw.payments"]["why"]  # the set pins its snapshot
    assert set(vectors(root, ZOE)[-4:]) == {None}
    for other in ALL[1:]:
        assert vectors(root, other)[-4:] == expected(other)
    assert shell.run("erase", f"customer={ZOE}", "--yes", "--training-sets") == 0, (
        shell.out + shell.err
    )
    assert f"customer={ZOE} is in none of the" in shell.out
    assert is_in(root, ZOE) == set()
    held = pq.read_table(root / "target/fraud.parquet")
    assert sorted(held.column("customer").to_pylist()) == sorted(ALL[1:])
    assert b"forebay" in held.schema.metadata  # its record


def test_the_next_build_goes_on_and_agrees(shell: Shell) -> None:
    root = shell.folder
    pay(root, 9)
    lake = open_lake(lake_of(root))
    rows = load_table(lake, "raw.payments").scan().to_arrow()
    assert ZOE in rows.column("customer").to_pylist()  # a new payment is a new row
    assert shell.run("erase", f"customer={ZOE}", "--yes", "--training-sets") == 0, shell.out
    for words in (("build",), ("sync",), ("verify",)):
        assert shell.run(*words) == 0, shell.out + shell.err
    assert set(vectors(root, ZOE)[-4:]) == {None}
    for other in ALL[1:]:
        count, total, most, _ = expected(other)
        amount = 90 + ALL.index(other)
        assert vectors(root, other)[-4:] == [count + 1, total + amount, amount, amount]  # type: ignore[operator]
        del most
    assert is_in(root, ZOE) == set()


KILL = """
import importlib, os, signal, sys
place, name, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
module = importlib.import_module(place)
real, calls = getattr(module, name), 0
def dying(*words, **more):
    global calls
    calls += 1
    if calls == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words, **more)
setattr(module, name, dying)
from forebay.__main__ import main
main(sys.argv[4:])
"""


@pytest.mark.parametrize(
    ("who", "place", "name", "number"),
    [
        (YAN, "lakehouse.erase.rewrite_files", "_commit", 1),
        (WIM, "forebay.erasure.erase", "expire_snapshots", 2),
        (VIC, "forebay.erasure.erase", "free_files", 3),
    ],
)
def test_one_that_is_killed_is_finished_by_the_next(
    shell: Shell, who: str, place: str, name: str, number: int
) -> None:
    root = shell.folder
    before = vectors(root, EVE)
    words = ("erase", f"customer={who}", "--yes", "--training-sets", "--orphan-days", "0")
    killed = subprocess.run(
        [sys.executable, "-c", KILL, place, name, str(number), *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert is_in(root, who) != set()
    assert shell.run(*words) == 0, shell.out + shell.err
    assert is_in(root, who) == set()
    assert set(vectors(root, who)[-4:]) == {None} and vectors(root, EVE) == before


def test_what_a_tag_pins_is_told(shell: Shell) -> None:
    root = shell.folder
    table = load_table(open_lake(lake_of(root)), "raw.payments")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, "audit").commit()
    assert shell.run("erase", f"customer={EVE}", "--yes", "--training-sets") == 1, shell.out
    assert "pinned by audit: drop the tag" in shell.out
    load_table(open_lake(lake_of(root)), "raw.payments").manage_snapshots().remove_tag(
        "audit"
    ).commit()
    assert shell.run("erase", f"customer={EVE}", "--yes", "--training-sets") == 0, shell.out
    assert is_in(root, EVE) == set()


def test_rows_that_an_ingest_set_aside_go_too(shell: Shell) -> None:
    uma = "uma-5f1c0a9b"
    (shell.folder / "models/visits.yml").write_text(
        "sources: [{name: web, schema: web, tables: [{name: visits, columns: "
        "[{name: customer, data_type: varchar}, {name: n, data_type: bigint}]}]}]"
    )
    text = shell.folder / "visits.csv"
    text.write_text(f"customer,n\n{uma},1\n{uma},one\nada-5f1c0a9b,two\n")
    assert shell.run("ingest", "web.visits", str(text)) == 0, shell.err
    text.unlink()
    assert len(is_in(shell.folder, uma)) > 1
    assert shell.run("erase", f"customer={uma}", "--yes") == 0, shell.out + shell.err
    assert is_in(shell.folder, uma) == set()
    rows = load_table(open_lake(lake_of(shell.folder)), "web.visits__quarantine").scan()
    assert [row["row"] for row in rows.to_arrow().to_pylist()] == [3]


def test_sets_in_folders_under_target_are_found(shell: Shell) -> None:
    # Its rows may have been erased by now; its schema holds the record.
    schema = pq.read_schema(shell.folder / "target/fraud.parquet")
    deep = shell.folder / "target/sets/deep.parquet"
    deep.parent.mkdir()
    row = pa.Table.from_pylist([{"customer": "deep"}]).cast(pa.schema([schema.field("customer")]))
    pq.write_table(row.replace_schema_metadata(schema.metadata), deep)
    assert shell.run("erase", "customer=deep", "--dry-run", "--json") == 0, shell.err
    places = {p["name"]: p["rows"] for p in json.loads(shell.out)["places"]}
    deep.unlink()
    assert places[str(deep)] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("custmer=a", "--yes"), "did you mean 'customer'?"),
        (("customer", "--yes"), "no feature view is named"),
        (("customer=", "--yes"), "is not NAME=VALUE"),
        (("spending", "paid_at=2024-01-01", "--yes"), "the keys of feature view 'spending'"),
        (("customer=a", "--column", "raw.payments:who=c", "--yes"), "names no key"),
        (("customer=a",), "not a terminal"),
        (("customer=a", "--file", "nowhere.parquet", "--yes"), "no Parquet file"),
    ],
)
def test_what_is_refused(shell: Shell, words: tuple[str, ...], said: str) -> None:
    assert said in shell.refused("erase", *words)


@pytest.mark.parametrize("words", [("maintain", "--dry-run"), ("erase", "customer=a", "--dry-run")])
def test_as_a_process_of_its_own(root: Path, words: tuple[str, ...]) -> None:
    """Where less is loaded than in this one."""
    done = subprocess.run(
        [sys.executable, "-m", "forebay", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
