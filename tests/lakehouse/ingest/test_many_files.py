"""Several files in one commit, and each content once: folders, patterns, files loaded before."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from feature_specs.errors import DataError
from lakehouse.commit import commit_rows
from lakehouse.ingest.expand_paths import expand_paths
from lakehouse.ingest.files import Ingested, ingest_files
from lakehouse.ingest.fit_table import SchemaChanges
from lakehouse.ingest.loaded_files import loaded_files
from lakehouse.lake import find_table, load_table
from tests.lakehouse.read_arrow import read_arrow

TABLE = "s.t"


def write(folder: Path, **texts: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return [folder / f"{name}.csv" for name in texts]


def load(lake: Catalog, *paths: Path, again: bool = False, dry_run: bool = False) -> Ingested:
    return ingest_files(
        lake, TABLE, expand_paths(paths), mode="append", again=again, dry_run=dry_run
    )


def values(lake: Catalog, name: str = "v") -> Counter[object]:
    return Counter(read_arrow(load_table(lake, TABLE))[name].to_pylist())


def test_a_folder_is_one_commit_and_passes_over_what_engines_leave(
    lake: Catalog, tmp_path: Path
) -> None:
    write(tmp_path / "in", a="v\n1\n", b="v\n2\n")
    write(tmp_path / "in" / "day=1", c="v\n3\n")
    write(tmp_path / "in" / "_temporary", d="v\n4\n")
    (tmp_path / "in" / "_SUCCESS").touch()
    done = load(lake, tmp_path / "in")
    assert values(lake) == Counter([1, 2, 3]) and done.rows == 3 and len(done.files) == 3
    assert len(load_table(lake, TABLE).snapshots()) == 1


def test_patterns_and_files_named_twice_count_once(lake: Catalog, tmp_path: Path) -> None:
    first, second = write(tmp_path / "in", a="v\n1\n", b="v\n2\n")
    write(tmp_path / "in" / "x", c="v\n3\n")
    assert expand_paths([tmp_path / "in" / "*.csv", first]) == (first, second)
    load(lake, tmp_path / "in" / "**" / "*.csv")
    assert values(lake) == Counter([1, 2, 3])
    with pytest.raises(DataError, match="no file matches the pattern"):
        expand_paths([tmp_path / "*.parquet"])
    (tmp_path / "in" / "rows.orc").touch()
    with pytest.raises(DataError, match=r"rows\.orc: the folder .* its format is not known"):
        expand_paths([tmp_path / "in"])


def test_the_same_content_again_adds_nothing_whatever_its_name(
    lake: Catalog, tmp_path: Path
) -> None:
    (first,) = write(tmp_path, a="v\n1\n")
    load(lake, first)
    before = load_table(lake, TABLE).metadata_location
    (other,) = write(tmp_path, renamed="v\n1\n")
    done = load(lake, first, other)
    assert [f.known for f in done.files] == [True, True] and done.rows == 0
    assert load_table(lake, TABLE).metadata_location == before
    (new,) = write(tmp_path, new="v\n2\n")
    done = load(lake, first, new, other)
    assert [f.known for f in done.files] == [True, False, True]
    assert values(lake) == Counter([1, 2])
    load(lake, first, again=True)
    assert values(lake) == Counter([1, 1, 2])


def test_the_record_outlives_all_snapshots_but_the_head(lake: Catalog, tmp_path: Path) -> None:
    (first,) = write(tmp_path, a="v\n1\n")
    load(lake, first)
    for n in (7, 8):
        commit_rows(lake, TABLE, pa.table({"v": pa.array([n], pa.int64())}), mode="append")
    table = load_table(lake, TABLE)
    gone = [s.snapshot_id for s in table.snapshots()[:-1]]
    table.maintenance.expire_snapshots().by_ids(gone).commit()
    assert len(load_table(lake, TABLE).snapshots()) == 1
    assert load(lake, first).files[0].known
    assert values(lake) == Counter([1, 7, 8])


def test_a_table_that_was_rolled_back_takes_the_file_again(lake: Catalog, tmp_path: Path) -> None:
    first, second = write(tmp_path, a="v\n1\n", b="v\n2\n")
    load(lake, first)
    start = load_table(lake, TABLE).metadata.current_snapshot_id
    assert start is not None
    load(lake, second)
    table = load_table(lake, TABLE)
    table.manage_snapshots().set_current_snapshot(snapshot_id=start).commit()
    assert values(lake) == Counter([1])
    assert [f.known for f in load(lake, first, second).files] == [True, False]
    assert values(lake) == Counter([1, 2])


def test_replace_leaves_a_record_of_its_own_files_alone(lake: Catalog, tmp_path: Path) -> None:
    first, second = write(tmp_path, a="v\n1\n", b="v\n2\n")
    load(lake, first)
    ingest_files(lake, TABLE, [second], mode="replace")
    ingest_files(lake, TABLE, [second], mode="replace")
    assert values(lake) == Counter([2])
    assert len(loaded_files(load_table(lake, TABLE))) == 1
    load(lake, first)
    assert values(lake) == Counter([1, 2])


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_type_holds_the_values_of_all_files(
    lake: Catalog, tmp_path: Path, names: tuple[str, str]
) -> None:
    texts = {"a": "v,w,x\n1,5,\n", "b": "v,w,x\n007,2.5,2024-01-31\n"}
    files = [write(tmp_path, **{name: texts[name]})[0] for name in names]
    load(lake, *files)
    assert values(lake) == Counter(["1", "007"])
    assert values(lake, "w") == Counter([5.0, 2.5])
    assert values(lake, "x")[None] == 1


def test_what_does_not_fit_refuses_all_files(lake: Catalog, tmp_path: Path) -> None:
    first, second = write(tmp_path, a="v,w\n1,2\n", b="v,x\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv: its columns are not those of .*a\.csv"):
        load(lake, first, second)
    assert find_table(lake, TABLE) is None
    load(lake, first)
    before = load_table(lake, TABLE).metadata_location
    good, bad = write(tmp_path, c="v,w\n3,4\n", d="v,w\n3,many\n")
    with pytest.raises(DataError, match=r"d\.csv:2: .*many"):
        load(lake, good, bad)
    assert load_table(lake, TABLE).metadata_location == before
    warehouse = tmp_path / "lake" / "warehouse"
    assert len(list(warehouse.rglob("*.parquet"))) == 1  # the one of a.csv
    ingest_files(
        lake, TABLE, [second], mode="append", changes=SchemaChanges(evolve=True, drop=("w",))
    )
    assert values(lake, "x") == Counter([None, 2])


def test_dry_run_looks_at_every_value_and_writes_nothing(lake: Catalog, tmp_path: Path) -> None:
    first, second = write(tmp_path, a="v\n1\n", b="v\n2\n3\n")
    done = load(lake, first, second, dry_run=True)
    assert (done.rows, done.before, dict(done.after.columns)) == (3, None, {"v": "BIGINT"})
    assert find_table(lake, TABLE) is None
    load(lake, first)
    before = load_table(lake, TABLE).metadata_location
    done = load(lake, first, second, dry_run=True)
    assert [(f.known, f.rows) for f in done.files] == [(True, 0), (False, 2)]
    assert done.after.rows == 3 and load_table(lake, TABLE).metadata_location == before
    (bad,) = write(tmp_path, c="v\nmany\n")
    with pytest.raises(DataError, match="many"):
        load(lake, bad, dry_run=True)
