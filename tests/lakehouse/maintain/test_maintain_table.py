"""A round of upkeep: what expires and what goes, and that nothing goes that somebody needs."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.errors import DataError
from lakehouse.lake import load_table
from lakehouse.local_path import local_path
from lakehouse.maintain import maintain_table as maintain_module
from lakehouse.maintain.expire_snapshots import Pins, expire_snapshots
from lakehouse.maintain.free_files import Ages, Freed, find_free_files
from lakehouse.stream.fence import FENCE, Fence, Place, read_fence
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.maintain.lakes import (
    HOUR,
    TABLE,
    add,
    age_files,
    files_of,
    later,
    maintain,
    named,
    numbers_of,
    replace,
)
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.many_cases


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    return local_lake(tmp_path)


def ids(lake: Catalog, name: str = TABLE) -> set[int]:
    return {s.snapshot_id for s in load_table(lake, name).snapshots()}


def test_all_but_the_head_expires_and_its_files_go(lake: Catalog) -> None:
    for n in range(5):
        replace(lake, [n])
    before = {path: path.stat().st_size for path in files_of(lake)}
    said = maintain(lake, later(2), dry_run=True)
    assert files_of(lake) == set(before) and len(ids(lake)) == 5
    done = maintain(lake, later(2), ages=Ages(metadata_files=0))
    assert (done.expired, done.kept) == (said.expired, said.kept) == (4, 1)
    assert numbers_of(lake) == [4]
    assert files_of(lake) == named(lake)
    gone = set(before) - files_of(lake)
    assert (done.files, done.bytes) == (len(gone), sum(before[path] for path in gone))
    kinds = {k.kind: k.files for k in done.freed}
    # Metadata files apart, of which the dry run was told to keep ten.
    assert [{f.name for f in kinds[k]} for k in ("data", "manifests")] == [
        {f.name for f in k.files} for k in said.freed if k.kind in ("data", "manifests")
    ]
    assert len(kinds["data"]) == 4
    assert maintain(lake, later(2)).expired == 0


@pytest.mark.parametrize("snapshots", [1, 5])
def test_a_table_is_searched_once(
    lake: Catalog, monkeypatch: pytest.MonkeyPatch, snapshots: int
) -> None:
    """Whether something expires, so that the table is committed in between, or not."""
    searches: list[bool] = []

    def search(*args: Any, **options: Any) -> list[Freed]:
        searches.append(True)
        return find_free_files(*args, **options)

    monkeypatch.setattr(maintain_module, "find_free_files", search)
    for n in range(snapshots):
        replace(lake, [n])
    done = maintain(lake, later(2), ages=Ages(metadata_files=0))
    assert (done.expired, searches) == (snapshots - 1, [True])
    assert files_of(lake) == named(lake)


def test_a_snapshot_that_is_tagged_meanwhile_keeps_its_files(
    lake: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        replace(lake, [n])
    first = min(load_table(lake, TABLE).snapshots(), key=lambda s: s.timestamp_ms).snapshot_id

    def expire(_: Table, *args: Any) -> object:
        load_table(lake, TABLE).manage_snapshots().create_tag(first, "kept").commit()
        return expire_snapshots(load_table(lake, TABLE), *args)

    monkeypatch.setattr(maintain_module, "expire_snapshots", expire)
    assert maintain(lake, later(2)).expired == 1
    assert load_table(lake, TABLE).scan(snapshot_id=first).to_arrow()["n"].to_pylist() == [0]


def test_appended_rows_stay_when_their_snapshots_expire(lake: Catalog) -> None:
    for n in range(12):
        add(lake, [n])
    done = maintain(lake, later(2), ages=Ages(metadata_files=0))
    assert (done.expired, numbers_of(lake)) == (11, list(range(12)))
    assert files_of(lake) == named(lake)


def test_what_was_the_head_within_the_last_hour_stays_with_its_files(lake: Catalog) -> None:
    """An old snapshot may have been the head until a minute ago: a reader is at it."""
    replace(lake, [1])
    old = load_table(lake, TABLE)
    then = later(5)
    table = load_table(lake, TABLE)
    with table.transaction() as change:
        change.set_properties({"nothing": "much"})
    done = maintain(lake, then)
    assert done.expired == 0
    replace(lake, [2])
    assert maintain(lake, later(0.5)).expired == 0
    assert read_arrow(old)["n"].to_pylist() == [1]
    replace(lake, [3])
    assert maintain(lake, later(0.5), ages=Ages(snapshots=timedelta(minutes=29))).expired == 2
    assert numbers_of(lake) == [3]


def test_a_snapshot_that_a_writer_forgot_is_still_readable_for_an_hour(lake: Catalog) -> None:
    """Steps take snapshots out of the metadata long before: files of the last hour's heads stay."""
    first = replace(lake, [1])
    age_files(lake, 100 * HOUR)
    reader = load_table(lake, TABLE)
    replace(lake, [2])
    load_table(lake, TABLE).maintenance.expire_snapshots().by_id(first).commit()
    maintain(lake, later(0), ages=Ages(metadata_files=0))
    assert read_arrow(reader)["n"].to_pylist() == [1]
    done = maintain(lake, later(2), ages=Ages(metadata_files=0))
    assert done.files and files_of(lake) == named(lake)
    with pytest.raises(FileNotFoundError):
        read_arrow(reader)


def test_what_somebody_needs_stays(lake: Catalog) -> None:
    made = [replace(lake, [n]) for n in range(8)]
    with load_table(lake, TABLE).manage_snapshots() as change:
        change.create_tag(made[1], "kept").create_branch(made[2], "tried")
    pins = Pins(read=frozenset({made[4]}), onward=frozenset({made[6]}))
    done = maintain(lake, later(2), pins=pins)
    assert ids(lake) == {made[0], made[1], made[2], made[4], made[6], made[7]}
    assert done.expired == 2
    for place in (1, 2, 4, 6, 7):
        table = load_table(lake, TABLE)
        assert table.scan(snapshot_id=made[place]).to_arrow()["n"].to_pylist() == [place]


def test_the_line_to_a_stream_s_fence_stays(lake: Catalog) -> None:
    """Else a table that was rolled back would take the property, which is ahead of its rows."""

    def fence(offset: int) -> Fence:
        return Fence("events", "abc", {0: Place(offset)})

    made = []
    for n in range(4):
        table = load_table(lake, TABLE) if n else None
        if table is None:
            made.append(add(lake, [0]))
            continue
        said = {FENCE: fence(n).dumps()} if n < 3 else {}
        with table.transaction() as change:
            if said:
                change.set_properties(said)
            change.append(pa.table({"n": [n]}), snapshot_properties=said)
        made.append(int(load_table(lake, TABLE).metadata.current_snapshot_id or 0))
    load_table(lake, TABLE).manage_snapshots().rollback_to_snapshot(made[1]).commit()
    add(lake, [9])
    before = read_fence(load_table(lake, TABLE))
    assert before == fence(1)
    maintain(lake, later(2))
    assert read_fence(load_table(lake, TABLE)) == before
    assert made[2] not in ids(lake) and made[1] in ids(lake) and numbers_of(lake) == [0, 1, 9]


def test_orphans_go_once_they_are_old_and_what_is_not_ours_stays(lake: Catalog) -> None:
    add(lake, [1])
    home = Path(local_path(load_table(lake, TABLE).location()))
    lost, hint, own = (
        home / "data" / "lost.parquet", home / "metadata" / "version-hint.text",
        home / "notes" / "mine.parquet",
    )  # fmt: skip
    hidden = home / "data" / "_temporary" / "part.parquet"
    for path in (lost, hint, own, hidden):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"n": [7]}), path)
    assert maintain(lake, later(71)).files == 0
    done = maintain(lake, later(73))
    assert {f.name for k in done.freed for f in k.files if k.kind == "data"} == {str(lost)}
    assert not lost.exists() and hint.exists() and own.exists() and hidden.exists()
    assert numbers_of(lake) == [1]


def test_old_metadata_and_stale_indexes_go(lake: Catalog) -> None:
    for n in range(15):
        add(lake, [n])
    home = Path(local_path(load_table(lake, TABLE).location()))
    index = home / "index" / "folder-gone-2.0.0.arrow"
    index.parent.mkdir()
    index.write_text("")
    held = next(p for p in files_of(lake) if p.suffix == ".parquet")
    live = index.with_name(f"{held.parent.name}-{held.stem}-2.0.0.arrow")
    live.write_text("")
    assert maintain(lake, later(0.5)).files == 0
    maintain(lake, later(2))
    assert live.exists() and not index.exists()
    assert sum(p.name.endswith(".metadata.json") for p in files_of(lake)) == 11
    assert numbers_of(lake) == list(range(15))


def test_a_folder_that_two_tables_share_is_left_alone(lake: Catalog) -> None:
    replace(lake, [1])
    replace(lake, [2])
    lake.register_table("raw.again", load_table(lake, TABLE).metadata_location)
    before = files_of(lake)
    with pytest.raises(DataError, match="may share the folder"):
        maintain(lake, later(100))
    assert before == files_of(lake) and numbers_of(lake, "raw.again") == [2]
    assert len(ids(lake)) == 2


def test_files_that_another_table_reads_stay(lake: Catalog) -> None:
    replace(lake, [1])
    (held,) = (t["file_path"] for t in load_table(lake, TABLE).inspect.files().to_pylist())
    add(lake, [5], "raw.other")
    load_table(lake, "raw.other").add_files([held])
    replace(lake, [2])
    assert maintain(lake, later(100)).expired == 1
    assert numbers_of(lake) == [2] and numbers_of(lake, "raw.other") == [1, 5]


def test_a_table_that_lost_a_file_is_left_as_it_is(lake: Catalog) -> None:
    replace(lake, [1])
    replace(lake, [2])
    (held,) = (t["file_path"] for t in load_table(lake, TABLE).inspect.files().to_pylist())
    Path(local_path(held)).unlink()
    before = files_of(lake)
    with pytest.raises(DataError, match="1 of the files that it names are not in its folder"):
        maintain(lake, later(100))
    assert files_of(lake) == before and len(ids(lake)) == 2


def test_a_link_to_the_warehouse_is_no_other_place(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    lake = local_lake(tmp_path / "link")
    for n in range(3):
        replace(lake, [n])
    assert maintain(lake, later(100), ages=Ages(metadata_files=0)).expired == 2
    assert numbers_of(lake) == [2] and len(files_of(lake)) == len(named(lake))


def test_gc_disabled_is_honoured(lake: Catalog) -> None:
    replace(lake, [1])
    replace(lake, [2])
    with load_table(lake, TABLE).transaction() as change:
        change.set_properties({"gc.enabled": "false"})
    assert maintain(lake, later(100)).note == "gc.enabled is false"
    assert len(ids(lake)) == 2


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_drawn_histories_keep_their_rows_and_only_what_is_named(seed: int, tmp_path: Path) -> None:
    """Brute force: every kept snapshot reads as it did, and no file is left that none names."""
    lake, rng = local_lake(tmp_path), random.Random(seed)
    rows: dict[int, list[int]] = {}
    held: list[int] = []
    for step in range(30):
        deed = rng.random()
        if deed < 0.5 or not step:
            new = [rng.randrange(100) for _ in range(rng.randrange(1, 4))]
            now = add(lake, new)
            held = sorted(held + new)
            rows[now] = held
        elif deed < 0.75:
            held = sorted(rng.randrange(100) for _ in range(rng.randrange(1, 4)))
            rows[replace(lake, held)] = held
        else:
            pinned = frozenset(rng.sample(sorted(rows), min(len(rows), 2))) & ids(lake)
            maintain(lake, later(2), pins=Pins(read=pinned), ages=Ages(metadata_files=0))
            assert pinned <= ids(lake) and files_of(lake) == named(lake)
        table = load_table(lake, TABLE)
        for snapshot in table.snapshots():
            found = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()["n"].to_pylist()
            assert sorted(found) == rows[snapshot.snapshot_id]


@pytest.mark.parametrize("deletes", [0, 1, 4, 9])
def test_killed_in_the_midst_nothing_is_lost_and_the_next_run_takes_the_rest(
    deletes: int, tmp_path: Path
) -> None:
    lake = local_lake(tmp_path)
    for n in range(6):
        replace(lake, [n])
    age_files(lake, 2 * HOUR)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from lakehouse.maintain import stored_files\n"
        "from tests.lakehouse.local_lake import local_lake\n"
        "from tests.lakehouse.maintain.lakes import later, maintain\n"
        "real, count = stored_files._ArrowStore.delete, [0]\n"
        "def delete(self, name):\n"
        f"    if count[0] == {deletes}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    count[0] += 1\n"
        "    real(self, name)\n"
        "stored_files._ArrowStore.delete = delete\n"
        "maintain(local_lake(Path(sys.argv[1])), later(2))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert numbers_of(lake) == [5] and len(ids(lake)) == 1
    assert named(lake) < files_of(lake)
    maintain(lake, later(4), ages=Ages(metadata_files=0))
    assert numbers_of(lake) == [5] and files_of(lake) == named(lake)


def test_a_lost_attempt_s_files_are_a_writer_s_that_tries_again(lake: Catalog) -> None:
    """Its metadata file is there, committed by nobody; within the hour the writer may still commit."""
    add(lake, [1])
    table = load_table(lake, TABLE)
    before = Path(local_path(table.metadata_location))
    attempt = before.with_name("00009-lost.metadata.json")
    add(lake, [2])
    lost = load_table(lake, TABLE)
    shutil.copy(local_path(lost.metadata_location), attempt)
    lake.drop_table(TABLE)
    lake.register_table(TABLE, str(before))  # the catalog never heard of the second commit
    assert maintain(lake, later(0.5)).files == 0
    lake.drop_table(TABLE)
    lake.register_table(TABLE, str(attempt))
    assert numbers_of(lake) == [1, 2]
