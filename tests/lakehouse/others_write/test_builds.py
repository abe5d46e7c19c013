"""Builds, steps, training rows and previews over a table that another engine writes too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.manifest import DataFile
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import IntegerType

from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.data_files.project_columns import NAME_MAPPING
from lakehouse.lake import STATE_PROPERTY, load_table
from lakehouse.scan import define_relation, pin
from tests.feature_specs.oracle import Row, add, differences, magnitude
from tests.feature_specs.worlds import BASE, EVENTS, make_rows
from tests.lakehouse.builds import HOUR, Build, arrow_rows
from tests.lakehouse.others_write.lakes import OtherEngine, connection

pytestmark = pytest.mark.slow

SUMS = FeatureView(
    "sums",
    "select k, count(*) as n, sum(x) as sx, count(*) filter "
    "(where ts > now() - interval '1' hour) as n1 from events "
    "where ts > now() - interval '6' hour group by k",
    ("k",),
)
KEYS = FeatureView(
    "keys",
    "select k, sum(x) as sx, max(d) as hi, min(f) as lo from events "
    "where ts > now() - interval '6' hour group by k",
    ("k",),
)
NOON = BASE + 12 * HOUR

both_ways = pytest.mark.parametrize("view", [SUMS, KEYS], ids=lambda view: view.name)


class Shared:
    """A build whose leaf another engine writes."""

    def __init__(self, folder: Path, view: FeatureView, leaf: Leaf = EVENTS) -> None:
        self.leaf = leaf
        self.build = Build(folder, view, (leaf,))

    @property
    def engine(self) -> OtherEngine:
        return OtherEngine(load_table(self.build.lake, f"raw.{self.leaf.name}"))

    def map_names(self) -> None:
        table = self.engine.table
        with table.transaction() as change:
            change.set_properties({NAME_MAPPING: table.schema().name_mapping.model_dump_json()})

    def append_nameless(self, rows: Sequence[Row]) -> DataFile:
        file = self.engine.append(arrow_rows(self.leaf, rows))
        add(self.build.oracle.connection, f"raw_{self.leaf.name}", self.leaf.columns, rows)
        self.build.rows[self.leaf.name] += rows
        return file

    def now_holds(self, rows: Sequence[Row]) -> None:
        """What the oracle is to hold from now on."""
        self.build.oracle.load(self.leaf, rows)
        self.build.rows[self.leaf.name] = list(rows)

    def check(self, at: datetime) -> str:
        """Advance, and hold the table, training rows and a trace to brute force."""
        done = self.build.advance(at)
        self.build.check(at)
        expected = self.build.oracle.at(at)
        here = connection()
        define_relation(here, self.leaf.name, pin(self.engine.table))
        here.execute("create table spine (k varchar, t timestamptz)")
        for key in expected:
            here.execute("insert into spine values (?, ?)", [key[0], at])
        result = here.execute(self.build.compiled.point_in_time("spine", "t"))
        names = [d[0] for d in result.description or []]
        scale = magnitude(list(self.build.rows.values()))
        for row in result.fetchall():
            given = dict(zip(names, row, strict=True))
            features = expected[(given["k"],)]
            assert not differences({n: given[n] for n in features}, features, scale)
        return f"{done.how}: {done.why}"


def rows_of(*seeds: int) -> list[Row]:
    return [row for seed in seeds for row in make_rows(EVENTS, seed)]


@both_ways
def test_files_without_field_ids(view: FeatureView, tmp_path: Path) -> None:
    shared = Shared(tmp_path, view)
    shared.map_names()
    shared.append_nameless(rows_of(1))
    shared.check(NOON)
    assert shared.build.oracle.at(NOON)
    shared.build.append(EVENTS, rows_of(2))
    assert shared.check(NOON).startswith("step")
    shared.append_nameless(rows_of(3))
    assert shared.check(NOON + HOUR).startswith("step")
    assert shared.check(NOON + 5 * HOUR).startswith("step")


@both_ways
def test_deletes_and_compactions(view: FeatureView, tmp_path: Path) -> None:
    shared, first, more = Shared(tmp_path, view), rows_of(1, 2), rows_of(3)
    shared.map_names()
    file = shared.append_nameless(first)
    shared.check(NOON)
    engine = shared.engine
    engine.commit(
        deletes=[engine.delete_positions((file, 0), (file, 3))], operation=Operation.DELETE
    )
    kept = [row for place, row in enumerate(first) if place not in (0, 3)]
    shared.now_holds(kept)
    assert shared.check(NOON) == "full: rows of events were removed or rewritten"
    other = shared.append_nameless(more)
    assert shared.check(NOON + HOUR).startswith("step")
    assert shared.check(NOON + 4 * HOUR).startswith("step")
    engine = shared.engine
    compacted = engine.write(arrow_rows(EVENTS, [*kept, *more]))
    engine.commit(compacted, removed=[file, other], operation=Operation.REPLACE)
    assert shared.check(NOON + 4 * HOUR).startswith("step")  # it changes no rows
    shared.append_nameless(rows_of(4))
    assert shared.check(NOON + 5 * HOUR).startswith("step")
    engine = shared.engine
    engine.commit(removed=[compacted], operation=Operation.DELETE)
    shared.now_holds(rows_of(4))
    assert shared.check(NOON + 5 * HOUR) == "full: rows of events were removed or rewritten"


def test_a_schema_that_is_changed_and_changed_back(tmp_path: Path) -> None:
    """A change of schema makes no snapshot, so the last build's schema counts, not the snapshot's."""
    shared, rows = Shared(tmp_path, SUMS), rows_of(1, 2)
    shared.build.append(EVENTS, rows)
    shared.check(NOON)
    table = shared.engine.table
    with table.update_schema() as change:
        change.rename_column("x", "was_x")
    with table.update_schema() as change:
        change.add_column("x", IntegerType())
    x = list(EVENTS.columns).index("x")
    shared.now_holds([(*row[:x], None, *row[x + 1 :]) for row in rows])
    assert shared.check(NOON).startswith("full: columns of events were changed")
    table = shared.engine.table
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("x")
    with table.update_schema() as change:
        change.rename_column("was_x", "x")
    shared.now_holds(rows)
    assert shared.check(NOON).startswith("full: columns of events were changed")
    assert shared.check(NOON).startswith("nothing")
    with shared.engine.table.update_schema() as change:
        change.add_column("unread", IntegerType())
    assert shared.check(NOON).startswith("step")


def test_another_name_mapping(tmp_path: Path) -> None:
    shared, rows = Shared(tmp_path, SUMS), rows_of(1, 2)
    shared.map_names()
    shared.append_nameless(rows)
    shared.check(NOON)
    x = list(EVENTS.columns).index("x")
    table = shared.engine.table
    mapping = table.properties[NAME_MAPPING]
    with table.transaction() as change:
        change.set_properties({NAME_MAPPING: mapping.replace('["x"]', '["xx"]')})
    names = [*EVENTS.columns]
    names[x] = "xx"
    engine = shared.engine
    engine.commit(
        engine.write(arrow_rows(EVENTS, rows).rename_columns(names)),
        removed=[e.data_file for e in pin(engine.table).files],
        operation=Operation.OVERWRITE,
    )
    assert shared.check(NOON).startswith("full")
    with shared.engine.table.transaction() as change:
        change.set_properties({NAME_MAPPING: mapping.replace('["x"]', '["x", "xx"]')})
    assert shared.check(NOON).startswith("full: columns of events were changed")


def test_an_expired_snapshot(tmp_path: Path) -> None:
    """The rows that were there can no longer be told from those that came."""
    shared = Shared(tmp_path, SUMS)
    shared.build.append(EVENTS, rows_of(1, 2))
    shared.check(NOON)
    read = shared.engine.table.metadata.current_snapshot_id
    assert read is not None
    shared.build.append(EVENTS, rows_of(3))
    shared.engine.table.maintenance.expire_snapshots().by_id(read).commit()
    assert "that was read last has expired" in shared.check(NOON + 2 * HOUR)
    assert shared.check(NOON + 3 * HOUR).startswith("step")


def test_a_state_from_before_schemas_were_kept(tmp_path: Path) -> None:
    shared = Shared(tmp_path, SUMS)
    shared.build.append(EVENTS, rows_of(1))
    shared.check(NOON)
    for name in (shared.build.entry.table, shared.build.entry.history_table):
        table = load_table(shared.build.lake, name)
        state = json.loads(table.properties[STATE_PROPERTY])
        del state["readings"]
        with table.transaction() as change:
            change.set_properties({STATE_PROPERTY: json.dumps(state)})
    assert shared.check(NOON + HOUR).startswith("full: columns of events")
    assert shared.check(NOON + 2 * HOUR).startswith("step")


def test_all_files_read_alike(tmp_path: Path) -> None:
    """Files of several engines in one table: with ids, without, of narrower types, in any order."""
    shared = Shared(tmp_path, SUMS)
    shared.map_names()
    rows = rows_of(5)
    half = len(rows) // 2
    shared.append_nameless(rows[:half])
    narrow = arrow_rows(EVENTS, rows[half:])
    x = narrow.schema.get_field_index("x")
    small = [None if v is None else max(min(v, 127), -128) for v in narrow["x"].to_pylist()]
    narrow = narrow.set_column(x, "x", pa.array(small, pa.int8()))
    shared.engine.append(narrow.select(sorted(narrow.column_names)))
    shared.now_holds([*rows[:half], *(tuple(row.values()) for row in narrow.to_pylist())])
    shared.check(NOON)
