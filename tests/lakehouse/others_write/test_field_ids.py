"""Files without field ids, by the table's name mapping; files with some; and those with neither."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import IntegerType, ListType, LongType, NestedField, StringType, StructType

from feature_specs.errors import DataError
from lakehouse.data_files.project_columns import NAME_MAPPING
from tests.lakehouse.others_write.lakes import OtherEngine, with_id

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "v", StringType()))
NAMELESS = pa.table({"id": pa.array([1, 2], pa.int64()), "v": ["a", None]})
WITH_IDS = pa.Table.from_pylist(
    [{"other": "c", "id": 3}],
    schema=pa.schema([with_id("other", pa.string(), 2), with_id("id", pa.int64(), 1)]),
)
ROWS = [{"id": 1, "v": "a"}, {"id": 2, "v": None}]


def test_files_that_add_files_brought(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    path = engine.path()
    pq.write_table(NAMELESS, path)
    engine.table.add_files([f"file://{path}"])
    assert NAME_MAPPING in engine.table.properties
    assert engine.check() == ROWS


def test_files_with_and_without_ids_in_one_table(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    engine.append(NAMELESS)
    engine.append(WITH_IDS)
    assert engine.check() == [*ROWS, {"id": 3, "v": "c"}]


def test_a_column_renamed_after_the_migration(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    engine.append(NAMELESS)
    with engine.table.update_schema() as change:
        change.rename_column("v", "w")
        change.add_column("new", IntegerType())
    assert engine.check() == [
        {"id": 1, "w": "a", "new": None},
        {"id": 2, "w": None, "new": None},
    ]


def test_a_name_given_to_another_column(lake: Catalog) -> None:
    """pyiceberg moves the name in the mapping: it now says that the old files hold the new one."""
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    engine.append(NAMELESS)
    with engine.table.update_schema() as change:
        change.rename_column("v", "w")
    with engine.table.update_schema() as change:
        change.add_column("v", StringType())
    engine.check()


def test_columns_that_are_found_by_an_alias_and_others_beside_them(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    mapping = [{"field-id": 1, "names": ["id", "key"]}, {"field-id": 2, "names": ["v", "Wert"]}]
    with engine.table.transaction() as change:
        change.set_properties({NAME_MAPPING: json.dumps(mapping)})
    engine.append(pa.table({"Wert": ["a", None], "more": [5, 6], "key": [1, 2]}))
    assert engine.read() == ROWS


def test_names_are_told_apart_by_case(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    columns: list[pa.Array] = [pa.array([8, 9]), pa.array([1, 2]), pa.array(["a", None])]
    engine.append(pa.table(columns, names=["ID", "id", "v"]))
    assert engine.read() == ROWS


def test_nested_fields_by_name(lake: Catalog) -> None:
    struct = StructType(NestedField(3, "a", IntegerType()), NestedField(4, "b", StringType()))
    schema = Schema(
        NestedField(1, "s", struct),
        NestedField(2, "l", ListType(5, StructType(NestedField(6, "x", LongType())))),
    )
    engine = OtherEngine.create(lake, schema, mapped=True)
    kind = pa.schema(
        [
            ("s", pa.struct([("b", pa.string()), ("a", pa.int32())])),
            ("l", pa.list_(pa.struct([("x", pa.int64())]))),
        ]
    )
    rows = [{"s": {"b": "q", "a": 1}, "l": [{"x": 7}, None]}, {"s": None, "l": []}]
    engine.append(pa.Table.from_pylist(rows, schema=kind))
    assert engine.check() == sorted(rows, key=str)
    with engine.table.update_schema() as change:
        change.rename_column("s.a", "renamed")
        change.rename_column("l.element.x", "y")
    assert engine.check() == sorted(
        [{"s": {"renamed": 1, "b": "q"}, "l": [{"y": 7}, None]}, {"s": None, "l": []}], key=str
    )
    # pyiceberg reads a list of structs that is null as an empty one.
    engine.append(pa.Table.from_pylist([{"s": None, "l": None}], schema=kind))
    assert {"s": None, "l": None} in engine.read()


def test_columns_with_ids_beside_columns_without(lake: Catalog) -> None:
    """pyiceberg then takes all by name; the spec takes by name what has no id."""
    rows = pa.Table.from_pylist(
        [{"was_id": 1, "v": "a"}, {"was_id": 2, "v": None}],
        schema=pa.schema([with_id("was_id", pa.int64(), 1), with_id("v", pa.string())]),
    )
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    engine.append(rows)
    assert engine.read() == ROWS
    unmapped = OtherEngine.create(lake, SCHEMA)
    unmapped.append(rows)
    with pytest.raises(DataError, match="'v' among the columns of a data file has no field id"):
        unmapped.read()


def test_a_file_that_can_be_read_by_neither(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    engine.append(WITH_IDS)
    file = engine.append(NAMELESS)
    with pytest.raises(DataError, match="have no field ids, and the table has no name map") as info:
        engine.read()
    assert info.value.where == file.file_path.removeprefix("file://")
    assert NAME_MAPPING in info.value.hint
    with engine.table.transaction() as change:
        change.set_properties({NAME_MAPPING: SCHEMA.name_mapping.model_dump_json()})
    assert engine.check() == [*ROWS, {"id": 3, "v": "c"}]


def test_a_mapping_that_names_no_column_of_the_file(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    engine.append(pa.table({"ID": [1], "V": ["a"]}))
    with pytest.raises(DataError, match="the table's name mapping does not name them"):
        engine.read()


def test_a_column_of_the_tables_name_that_the_mapping_leaves_out(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    with engine.table.transaction() as change:
        change.set_properties({NAME_MAPPING: json.dumps([{"field-id": 1, "names": ["id"]}])})
    engine.append(NAMELESS)
    with pytest.raises(DataError, match="'v' among the columns of a data file has no field id"):
        engine.read()


def test_two_columns_of_a_file_for_one(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    mapping = [{"field-id": 1, "names": ["id", "key"]}, {"field-id": 2, "names": ["v"]}]
    with engine.table.transaction() as change:
        change.set_properties({NAME_MAPPING: json.dumps(mapping)})
    engine.append(pa.table({"id": [1], "key": [2], "v": ["a"]}))
    with pytest.raises(DataError, match="'id' and 'key', stand for one"):
        engine.read()
