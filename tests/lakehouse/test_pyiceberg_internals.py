"""pyiceberg's private names are as lakehouse/pyiceberg_internals.py takes them, and used only there."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import pyarrow as io
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles, _MergeAppendFiles, _SnapshotProducer

from lakehouse.commit import commit_rows
from lakehouse.data_files.manifests import entries_of, manifests_of
from lakehouse.lake import load_table
from lakehouse.pyiceberg_internals import AppendFile, ReplaceFiles, SteadyTransaction
from tests.lakehouse.local_lake import local_lake

ROOT = Path(__file__).parents[2]
HOME = ROOT / "lakehouse" / "pyiceberg_internals.py"


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (io._check_pyarrow_schema_compatible, {"provided_schema", "format_version"}),
        (
            io._dataframe_to_data_files,
            {"table_metadata", "df", "io", "write_uuid", "counter"},
        ),
        (Transaction.delete, {"_isolation_operation"}),
        (Transaction._append_snapshot_producer, {"snapshot_properties"}),
        (Transaction._stage, {"updates", "requirements"}),
        (_SnapshotProducer.__init__, {"operation", "transaction", "io"}),
    ],
    ids=lambda given: getattr(given, "__qualname__", None),
)
def test_a_private_function_takes_what_we_give_it(
    function: Callable[..., Any], named: set[str]
) -> None:
    assert named <= set(inspect.signature(function).parameters)


def test_what_we_override_is_there_to_be_overridden() -> None:
    ours = {name for kind in (AppendFile, ReplaceFiles) for name in vars(kind)}
    for name in sorted(n for n in ours if n.startswith("_") and not n.startswith("__")):
        if inspect.isfunction(vars(ReplaceFiles).get(name) or vars(AppendFile).get(name)):
            assert callable(getattr(_MergeAppendFiles, name)), name
    assert issubclass(_MergeAppendFiles, _FastAppendFiles)
    assert {"commit_uuid", "_snapshot_id"} <= set(inspect.get_annotations(_SnapshotProducer))
    assert isinstance(inspect.getattr_static(Transaction, "table_metadata"), property)


def test_a_snapshot_is_refused_where_another_writer_came_first(tmp_path: Path) -> None:
    lake = local_lake(tmp_path)
    rows = pa.table({"x": pa.array([1], pa.int64())})
    commit_rows(lake, "raw.things", rows, mode="append")
    for producer in (AppendFile, ReplaceFiles):
        table = load_table(lake, "raw.things")
        (manifest,) = manifests_of(table, table.metadata.current_snapshot_id)[:1]
        file = entries_of(table, manifest)[0].data_file
        commit_rows(lake, "raw.things", rows, mode="append")
        late = SteadyTransaction(table)
        with producer(Operation.APPEND, late, table.io) as snapshot:
            snapshot.append_data_file(file)
        with pytest.raises(CommitFailedException):
            late.commit_transaction()


def _private_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pyiceberg"):
            yield from (n.name for n in node.names if n.name.startswith("_"))
        elif (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and isinstance(node.value, ast.Name)
            and node.value.id in ("table", "transaction", "catalog", "lake", "snapshot")
        ):
            yield f"{node.value.id}.{node.attr}"


def test_no_other_module_uses_private_names() -> None:
    folders = ("feature_specs", "lineage", "lakehouse", "serving", "forebay")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    found = {
        p.relative_to(ROOT).as_posix(): names for p in files if (names := [*_private_imports(p)])
    }
    assert list(found) == [HOME.relative_to(ROOT).as_posix()]
