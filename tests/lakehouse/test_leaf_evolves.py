"""A leaf's schema changes under a view: what the view does not read costs it no full build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.types import LongType, StringType

from feature_specs.compile import compile_view
from feature_specs.compile.leaves.find_reads import find_reads
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.commit import commit_rows
from lakehouse.duckdb_types import column_types
from lakehouse.lake import load_table
from lakehouse.scan import columns_read_alike, pin, reading_of
from tests.feature_specs.oracle import add
from tests.feature_specs.worlds import BASE, CHANGES, EVENTS
from tests.lakehouse.builds import HOUR, Build, arrow_rows, entry_of
from tests.lakehouse.local_lake import local_lake

pytestmark = pytest.mark.slow

SUMS = FeatureView(
    "sums",
    "select k, count(*) as n, sum(x) as s, max(f) as m from events "
    "where ts > now() - interval '6' hour group by k",
    ("k",),
)
ADDITIVE = FeatureView("additive", SUMS.sql.replace(", max(f) as m", ""), ("k",))
UNREAD = "s"


class _Evolving:
    """A build whose leaf's columns change their names and types."""

    def __init__(self, folder: Path, view: FeatureView) -> None:
        self.build = Build(folder, view, (EVENTS,))
        self.names = list(EVENTS.columns)
        self.at = BASE

    @property
    def table(self) -> Table:
        return load_table(self.build.lake, "raw.events")

    def step(self) -> str:
        """Append two rows by the names that columns have now, and advance."""
        self.at += HOUR
        rows = [
            (f"k{i}", 1, self.at, self.at, self.at.hour + i, Decimal("0.10"), 1.5, "p", True)
            for i in range(2)
        ]
        wanted = schema_to_pyarrow(self.table.schema())
        named = arrow_rows(EVENTS, rows).rename_columns(self.names)
        fitting = pa.table(
            {f.name: named[f.name].cast(f.type) for f in wanted if f.name in named.column_names}
        )
        commit_rows(self.build.lake, "raw.events", fitting, mode="append")
        add(self.build.oracle.connection, "raw_events", EVENTS.columns, rows)
        self.build.rows["events"] += rows
        self.compile()
        how = self.build.advance(self.at).how
        self.build.check(self.at)
        return how

    def compile(self) -> None:
        """As `forebay compile` does, for the columns that the table has now."""
        leaf, was = replace(EVENTS, columns=column_types(self.table.schema())), self.build.entry
        self.build.compiled = compile_view(self.build.view, [leaf])
        self.build.entry, self.build.plan = entry_of(self.build.compiled)
        assert self.build.entry.semantic_hash == was.semantic_hash

    def rename(self, old: str, new: str) -> None:
        with self.table.update_schema() as change:
            change.rename_column(old, new)
        self.names[self.names.index(old)] = new


@pytest.mark.parametrize("view", [SUMS, ADDITIVE], ids=lambda v: v.name)
def test_columns_that_the_view_does_not_read_there_and_back(
    view: FeatureView, tmp_path: Path
) -> None:
    world = _Evolving(tmp_path, view)
    assert UNREAD not in world.build.entry.reads["events"]
    assert world.step() == "full"
    files = {e.data_file.file_path for e in pin(world.table).files}
    changes: list[Callable[[], None]] = [
        lambda: world.rename(UNREAD, "renamed"),
        lambda: world.rename("renamed", UNREAD),
        lambda: _add(world.table, "note"),
        lambda: _swap(world),
        lambda: _drop(world.table, "note"),
    ]
    for change in changes:
        change()
        assert world.step() == "step"
    assert files <= {e.data_file.file_path for e in pin(world.table).files}


def test_a_wider_type_of_a_column_that_the_view_reads(tmp_path: Path) -> None:
    """Old files keep their narrow values, which read as the wide ones."""
    world = _Evolving(tmp_path, SUMS)
    assert world.step() == "full"
    with world.table.update_schema() as change:
        change.update_column("x", LongType())
    assert world.step() == "step"
    world.at += timedelta(hours=5)
    assert world.step() == "step"


def test_a_column_that_the_view_reads_and_another_in_its_place(tmp_path: Path) -> None:
    world = _Evolving(tmp_path, SUMS)
    assert world.step() == "full"
    with world.table.update_schema(allow_incompatible_changes=True) as change:
        change.rename_column("x", "was_x")
    with world.table.update_schema() as change:
        change.rename_column("j", "x")
    build = world.build
    place, other = list(EVENTS.columns).index("x"), list(EVENTS.columns).index("j")
    rows = [
        tuple(r[other] if i == place else v for i, v in enumerate(r)) for r in build.rows["events"]
    ]
    build.oracle.connection.execute("delete from raw_events")
    add(build.oracle.connection, "raw_events", EVENTS.columns, rows)
    build.rows["events"] = list(rows)
    world.compile()
    assert build.advance(world.at + timedelta(minutes=1)).how == "full"
    build.check(world.at + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("sql", "leaf"),
    [
        ("select id, max(amount) as m from changes group by id", CHANGES),
        ("select k, count(distinct e) as n from events as e group by k", EVENTS),
    ],
)
def test_rows_that_are_read_as_a_whole_are_read_by_all_columns(sql: str, leaf: Leaf) -> None:
    """Of a changelog's changes at one instant all columns say which one counts."""
    compiled = compile_view(FeatureView("v", sql, (sql.split()[1].rstrip(","),)), [leaf])
    assert find_reads(compiled.draft) == {}


@pytest.mark.parametrize(
    ("change", "whole", "of_s"),
    [
        (lambda c: c.add_column("note", StringType()), True, True),
        (lambda c: c.rename_column("n", "m"), True, True),
        (lambda c: c.delete_column("n"), False, True),
        (lambda c: c.move_first("n"), False, True),
        (lambda c: c.add_column(("s", "c"), StringType()), True, True),
        (lambda c: c.delete_column(("s", "b")), False, False),
        (lambda c: c.move_before(("s", "b"), ("s", "a")), False, False),
    ],
)
def test_whole_rows_and_structs_read_otherwise_without_a_field_or_in_another_order(
    change: Callable[[UpdateSchema], object], whole: bool, of_s: bool, tmp_path: Path
) -> None:
    lake = local_lake(tmp_path)
    rows = pa.table({"k": ["a"], "s": [{"a": 1, "b": 2}], "n": [1]})
    commit_rows(lake, "raw.rows", rows, mode="append")
    before = reading_of(load_table(lake, "raw.rows"))
    with load_table(lake, "raw.rows").update_schema(allow_incompatible_changes=True) as schema:
        change(schema)
    table = load_table(lake, "raw.rows")
    assert columns_read_alike(table, before) == whole
    assert columns_read_alike(table, before, {"k", "s"}) == of_s
    assert columns_read_alike(table, before, {"k"})


def _add(table: Table, name: str) -> None:
    with table.update_schema() as change:
        change.add_column(name, StringType())


def _drop(table: Table, name: str) -> None:
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column(name)


def _swap(world: _Evolving) -> None:
    """Two columns that the view does not read exchange their names."""
    world.rename(UNREAD, "aside")
    world.rename("loaded", UNREAD)
    world.rename("aside", "loaded")
