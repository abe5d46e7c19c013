"""A command that runs out of room prints one line, leaves nothing half written, and goes on later."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.library_errors import MachineError
from lakehouse.lake import load_table, open_lake, table_names
from serving.stores import StoredView, open_store
from serving.sync import sync
from serving.verify import verify
from tests.forebay.conftest import Shell
from tests.forebay.training.test_changes import catalog_lake
from tests.serving.project import Project, instant, make_view


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: what a full disk does to one writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def rows(count: int, n: int) -> pa.Table:
    names = [f"carrier {i:06d}" for i in range(count)]
    return pa.table({"carrier": names, "n": [n] * count, "delay": [0.5] * count})


def online(project: Project) -> set[bytes]:
    store = open_store(project.catalog.online, readonly=True)
    found = {row for _, row in store.items(StoredView.of(project.catalog.view("delays")))}
    store.close()
    return found


def test_sync_without_room_leaves_what_was_there_and_goes_on(tmp_path: Path) -> None:
    project = Project(tmp_path)
    view = make_view("delays")
    project.add(view)
    project.build(view, rows(1000, 1), instant("06-01T00:00"))
    sync(project.catalog)
    project.build(view, rows(60_000, 2), instant("06-02T00:00"))
    with room(1_000_000), pytest.raises(MachineError) as refused:
        sync(project.catalog)
    assert "online.lmdb" in str(refused.value.where)
    assert str(refused.value).count("Hint: ") == 1 and "run the command again" in refused.value.hint
    assert online(project) == {b"\x001\x000.5"}
    (report,) = sync(project.catalog)
    assert (report.action, report.rows) == ("replaced", 60_000)
    assert online(project) == {b"\x002\x000.5"}
    assert verify(project.catalog)[0].equal


@pytest.mark.slow
def test_train_and_ingest_without_room(shop_shell: Shell) -> None:
    shell, out = shop_shell, shop_shell.folder / "out" / "set.parquet"
    spine = shell.folder / "data" / "many.csv"
    header, *labels = (shell.folder / "data" / "labels.csv").read_text().splitlines()
    numbered = (f"{n},{label}" for n, label in enumerate(labels * 200))
    spine.write_text("\n".join([f"number,{header}", *numbered]))
    words = ("train", "dispute_risk_v1", "--spine", str(spine), "--out", str(out))
    assert shell.run("compile") == 0  # dbt reads this copy of the project while there is room
    # The tags that keep the snapshots, in the tables' metadata; then the set itself.
    for size, file in ((2_000, ".metadata.json"), (100_000, str(out))):
        with room(size):
            line = shell.refused(*words)
        assert "larger than this process may write" in line and file in line
        assert list(out.parent.glob("*")) == []
        refs = load_table(open_lake(catalog_lake(shell.folder)), "shop.payments").metadata.refs
        assert set(refs) == {"main"}
    assert not (shell.folder / "target/forebay/training/dispute_risk_v1.json").exists()
    assert shell.run(*words) == 0 and out.exists()

    before = table_names(open_lake(catalog_lake(shell.folder)))
    with room(2_000):
        line = shell.refused("ingest", "shop.again", "data/payments.csv")
    assert "Hint: " in line
    assert table_names(open_lake(catalog_lake(shell.folder))) == before
    assert shell.run("ingest", "shop.again", "data/payments.csv") == 0
    assert table_names(open_lake(catalog_lake(shell.folder))) == sorted([*before, "shop.again"])
