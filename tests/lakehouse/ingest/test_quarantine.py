"""Rows that do not fit what a source declares: the others arrive, and each of these is told once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog

from feature_specs.errors import DataError
from lakehouse.ingest.files import Ingested, ingest_files
from lakehouse.ingest.quarantine import quarantine_of
from lakehouse.ingest.source import FileOptions
from lakehouse.lake import find_table, load_table
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

TABLE = "shop.sales"
DECLARED = {"sku": "varchar", "price": "decimal(10,2)", "n": "integer", "sold": "timestamptz"}


def load(
    lake: Catalog, *paths: Path, declared: Mapping[str, str] = DECLARED, **more: Any
) -> Ingested:
    options = FileOptions(declared=declared, declared_in="models/sources.yml")
    return ingest_files(lake, TABLE, paths, mode="append", options=options, **more)


def rows(lake: Catalog, name: str = TABLE) -> list[dict[str, Any]]:
    return list(read_arrow(load_table(lake, name)).to_pylist())


def kept(lake: Catalog) -> list[tuple[int, str]]:
    return sorted((r["row"], r["reason"]) for r in rows(lake, quarantine_of(TABLE)))


def sales(tmp_path: Path) -> Path:
    file = tmp_path / "a.csv"
    file.write_text(
        "sku,price,n,sold\na,1.50,1,2024-01-01T00:00:00Z\nb,1.999,2,2024-01-01T00:00:00Z\n"
        '"c,""x""",2,many,yesterday\nd,3,2147483648,2024-01-01T00:00:00Z\ne,4,,\n'
    )
    return file


def test_rows_that_do_not_fit_are_kept_with_every_reason(lake: Catalog, tmp_path: Path) -> None:
    done = load(lake, sales(tmp_path))
    assert (done.rows, done.misfits) == (2, 3)
    assert [r["sku"] for r in rows(lake)] == ["a", "e"]
    assert done.after.columns["price"] == "DECIMAL(10,2)"
    assert [row for row, _ in kept(lake)] == [2, 3, 4]
    assert kept(lake)[0][1].startswith(
        "column 'price' is DECIMAL(10,2), which does not hold '1.999'"
    )
    assert "'many'" in kept(lake)[1][1] and "'yesterday'" in kept(lake)[1][1]
    held = {r["row"]: json.loads(r["content"]) for r in rows(lake, quarantine_of(TABLE))}
    assert held[3] == {"sku": 'c,"x"', "price": "2", "n": "many", "sold": "yesterday"}


def test_loading_again_replaces_what_is_kept_of_the_file(lake: Catalog, tmp_path: Path) -> None:
    file = sales(tmp_path)
    load(lake, file)
    assert load(lake, file).files[0].known and len(kept(lake)) == 3
    load(lake, file, again=True)
    assert len(kept(lake)) == 3 and len(rows(lake)) == 4
    other = tmp_path / "b.csv"
    other.write_text("sku,price,n,sold\nx,none,1,\ny,1,1,\n")
    load(lake, other)
    assert sorted(Path(r["file"]).name for r in rows(lake, quarantine_of(TABLE))) == [
        *["a.csv"] * 3,
        "b.csv",
    ]


def test_strict_refuses_all_files_and_writes_nothing(lake: Catalog, tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("sku,price,n,sold\nx,1,1,\n")
    with pytest.raises(DataError, match=r"a\.csv:3: .*'1\.999'"):
        load(lake, good, sales(tmp_path), strict=True)
    assert find_table(lake, TABLE) is None and find_table(lake, quarantine_of(TABLE)) is None
    done = load(lake, good, sales(tmp_path), dry_run=True)
    assert (done.rows, done.misfits) == (3, 3)
    assert find_table(lake, TABLE) is None and find_table(lake, quarantine_of(TABLE)) is None


def test_a_file_of_which_no_row_fits_is_refused(lake: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("sku,price,n,sold\na,1.999,1,\nb,many,1,\n")
    with pytest.raises(DataError, match=r"a\.csv:2: .*'1\.999'.*1 more row"):
        load(lake, file)
    assert find_table(lake, TABLE) is None


def test_without_declared_types_the_first_is_refused(lake: Catalog, tmp_path: Path) -> None:
    load(lake, sales(tmp_path))
    (tmp_path / "b.csv").write_text("sku,price,n,sold\nx,none,1,\ny,1,1,\n")
    with pytest.raises(DataError, match=r"b\.csv:2"):
        load(lake, tmp_path / "b.csv", declared={})


def test_parquet_and_json_rows_are_set_aside_too(lake: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    numbers = pa.array([1, 2**31, None, -(2**31)], pa.int64())
    pq.write_table(pa.table({"n": numbers, "k": ["a", "b", "c", "d"]}), file)
    load(lake, file, declared={"n": "integer", "k": "varchar"})
    assert [r["k"] for r in rows(lake)] == ["a", "c", "d"]
    lines = tmp_path / "b.jsonl"
    lines.write_text('{"n": 5, "k": "e"}\n{"n": 1.5, "k": "f"}\n{"n": 7, "k": 8}\n')
    load(lake, lines, declared={"n": "integer", "k": "varchar"})
    assert sorted(r["k"] for r in rows(lake)) == ["a", "c", "d", "e"]
    assert [row for row, _ in kept(lake)] == [2, 2, 3]
    contents = [r["content"] for r in rows(lake, quarantine_of(TABLE)) if r["row"] == 3]
    assert json.loads(contents[0]) == {"n": 7, "k": 8}


def _whole(text: str | None) -> bool:
    """Whether a text is a whole number of 32 bits, by Python's own words."""
    if text is None:
        return True
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    plain = digits.isascii() and digits.isdigit()
    return plain and -(2**31) <= int(text) < 2**31


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(), st.sampled_from(["x", "1e3", " 1", "2147483648", "-2147483648", "007"]),
            st.integers(-3 * 10**9, 3 * 10**9).map(str),
        ),
        min_size=1,
        max_size=30,
    )
)  # fmt: skip
def test_what_arrives_and_what_is_kept_are_all_rows_by_an_oracle(
    tmp_path_factory: pytest.TempPathFactory, values: list[str | None]
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    lake, file = local_lake(folder), folder / "a.csv"
    file.write_text("k,n\n" + "".join(f"{i},{v or ''}\n" for i, v in enumerate(values)))
    fitting = [(i, None if v is None else int(v)) for i, v in enumerate(values) if _whole(v)]
    declared = {"k": "bigint", "n": "integer"}
    if not fitting:
        with pytest.raises(DataError):
            load(lake, file, declared=declared)
        return
    load(lake, file, declared=declared)
    assert sorted(((r["k"], r["n"]) for r in rows(lake)), key=lambda r: r[0]) == fitting
    if find_table(lake, quarantine_of(TABLE)) is not None:
        assert [row for row, _ in kept(lake)] == [
            i + 1 for i, v in enumerate(values) if not _whole(v)
        ]
    else:
        assert len(fitting) == len(values)


def test_when_it_was_loaded_is_told(lake: Catalog, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    load(lake, sales(tmp_path))
    told = {r["loaded_at"] for r in rows(lake, quarantine_of(TABLE))}
    assert len(told) == 1 and before <= told.pop() <= datetime.now(UTC)
