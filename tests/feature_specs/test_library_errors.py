"""Errors that the machine and libraries really raise, each told in one line with what fixes it."""

from __future__ import annotations

import errno
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import lmdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from feature_specs.errors import DataError, ForebayError, split_hint
from feature_specs.library_errors import (
    MachineError,
    explain,
    explain_one,
    explain_text,
    known_errors,
)

ROWS = pa.table({"a": list(range(100_000))})


def told(work: Callable[[], object]) -> ForebayError:
    with pytest.raises(known_errors()) as raised:
        work()
    error = explain(raised.value)
    assert str(error).count("Hint: ") == 1 and "\n" not in str(error)
    return error


def limited(work: Callable[[], object]) -> None:
    """Run it where no file may grow beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        work()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("writer", ["python", "pyarrow", "duckdb"])
def test_a_file_that_may_not_grow(tmp_path: Path, writer: str) -> None:
    file = tmp_path / "file"
    writers: dict[str, Callable[[], object]] = {
        "python": lambda: file.write_bytes(b"x" * 10**6),
        "pyarrow": lambda: pq.write_table(ROWS, file),
        "duckdb": lambda: duckdb.sql(f"copy (from range(100000)) to '{file}' (format parquet)"),
    }
    error = told(lambda: limited(writers[writer]))
    assert "larger than this process may write" in str(error) and "ulimit -f" in error.hint
    assert isinstance(error, MachineError)


def test_a_full_disk_is_named_with_what_is_free(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "deep" / "x.parquet"))
    error = explain(full)
    assert str(error).startswith(f"{tmp_path}/deep/x.parquet: the disk is full: of its ")
    assert "are free now" in error.what and "make room" in error.hint


@pytest.mark.parametrize(
    "text",
    [
        'IO Error: Could not write file "/data/x.db": No space left on device',
        'IO Error: Async write failed: {"exception_message":"Could not write file \\"/data/x.db\\": '
        'No space left on device","errno":"28"}',
        "Runtime Error in model a (models/a.sql)\n"
        '  IO Error: Could not write file "/data/x.db": No space left on device',
    ],
)
def test_a_full_disk_in_the_text_of_another_error(text: str) -> None:
    error = explain_text(text)
    assert isinstance(error, MachineError) and error.where == "/data/x.db"
    assert "the disk is full" in error.what


def test_text_that_says_nothing_of_the_machine() -> None:
    assert explain_text("Binder Error: no column x") is None


def test_a_full_disk_below_other_errors() -> None:
    with pytest.raises(RuntimeError) as raised:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("writing failed") from error
    assert "the disk is full" in str(explain(raised.value))
    with pytest.raises(MachineError):
        explain_one(raised.value)


def test_memory() -> None:
    connection = duckdb.connect()
    connection.execute("set memory_limit = '10MB'; set temp_directory = ''")
    error = told(
        lambda: connection.execute("create table t as select repeat('x', 99) || range from range(1e6::bigint)")
    )  # fmt: skip
    assert "out of memory: " in error.what and " used" in error.what
    assert "out of memory" in told(lambda: [0] * 2**61).what


def test_a_missing_file(tmp_path: Path) -> None:
    missing = tmp_path / "none.parquet"
    for work in (missing.read_bytes, lambda: pq.read_table(missing)):
        error = told(work)
        assert str(error).startswith(f"{missing}: there is no such file")
        assert not isinstance(error, MachineError)
        assert explain_one(error) is error


def test_a_catalog_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("anything else" * 1000)
    properties = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": "w"}
    error = told(lambda: SqlCatalog("x", **properties).list_namespaces())
    assert error.where == "the Iceberg catalog" and "no SQLite database" in error.what


def test_a_catalog_that_is_locked(tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "x.db")
    holder.execute("create table t (x)")
    holder.execute("begin exclusive")
    other = sqlite3.connect(tmp_path / "x.db", timeout=0)
    error = told(lambda: other.execute("select * from t"))
    assert "locked by another process" in error.what and "wait" in error.hint


def test_a_duckdb_file_in_use_says_by_whom(tmp_path: Path) -> None:
    hold = f"import duckdb, sys; c = duckdb.connect(r'{tmp_path}/x.db'); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        error = told(lambda: duckdb.connect(str(tmp_path / "x.db")))
        holder.communicate()
    assert str(error).startswith(f"{tmp_path}/x.db: it is in use by ")
    assert f"(PID {holder.pid})" in error.what


def test_a_store_that_is_no_lmdb(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"x" * 100_000)
    error = told(lambda: lmdb.open(str(tmp_path)))
    assert error.what.startswith("lmdb: ") and "forebay sync" in error.hint


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_bytes(b"select 'Stra\xdfe'")
    assert "not UTF-8" in told((tmp_path / "x.sql").read_text).what


def test_a_mistake_told_below_another_error_stays_itself() -> None:
    own = DataError("a fault", where="here", hint="fix it")
    assert explain(own) is own
    with pytest.raises(OSError) as raised:
        try:
            raise own
        except DataError as error:
            raise OSError("around it") from error
    assert explain(raised.value) is own


def test_one_line_has_one_hint() -> None:
    inner = DataError("a fault.", where="here", hint="fix it.")
    outer = DataError(f"the run failed: {inner}", where="there", hint="look into the log")
    assert str(outer) == "there: the run failed: here: a fault. Hint: fix it"
    assert split_hint("no hint at all") == ("no hint at all", None)
    assert split_hint("a. Hint: b. Hint: c") == ("a", "b")
