"""Values of every type: a client, a local project and DuckDB over the feature table agree."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_specs.catalog import Column, Feature
from feature_specs.errors import DataError
from feature_specs.quote import quoted
from feature_specs.sql_types import parse_type
from forebay.client import Client, Vectors
from forebay.client.answer import Reply, read_vectors
from forebay.client.local import LocalClient
from forebay.client.request import vector_requests
from lakehouse.lake import find_table, open_lake
from lakehouse.stored_types import WIDENED, stored_columns, stored_select
from serving.sync import sync
from tests.forebay.client.conftest import MORNING, write_catalog
from tests.serving.project import Project, make_view
from tests.serving.server_process import server_of
from tests.serving.stored_rows import encode_value
from tests.serving.test_rows import VALUES

pytestmark = pytest.mark.many_cases

#: Of each type SQL of three values; every row has one, and the last row nulls only.
COLUMNS: dict[str, tuple[str, ...]] = {
    "BOOLEAN": ("true", "false", "true"),
    "TINYINT": ("-128", "127", "0"),
    "SMALLINT": ("-32768", "32767", "0"),
    "INTEGER": ("-2147483648", "2147483647", "0"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807", "9007199254740993"),
    "HUGEINT": ("-" + "9" * 38, "9" * 38, str(2**100 + 1)),
    "UTINYINT": ("255", "0", "1"),
    "USMALLINT": ("65535", "0", "1"),
    "UINTEGER": ("4294967295", "0", "1"),
    "UBIGINT": ("18446744073709551615", "0", "9007199254740993"),
    "UHUGEINT": ("9" * 38, "0", "1"),
    "FLOAT": ("0.1", "'nan'", "'-inf'"),
    "DOUBLE": ("'nan'", "-0.0", "'inf'"),
    "DECIMAL(9,2)": ("-1.50", "9999999.99", "0"),
    "DECIMAL(38,10)": ("9" * 28 + "." + "9" * 10, "-0.0000000001", "1"),
    "VARCHAR": ("''", "'Zürich \"\\' || chr(10)", "'HUGEINT NaN Infinity'"),
    "BLOB": ("''::blob", "'\\x00\\xFF'::blob", "'a'::blob"),
    "UUID": (
        "'00000000-0000-0000-0000-000000000000'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    ),
    "DATE": ("'0001-01-01'", "'9999-12-31'", "'2013-07-01'"),
    "TIME": ("'00:00:00'", "'23:59:59.999999'", "'12:00:00'"),
    "TIMESTAMP": ("'0999-12-31 00:00:00.000001'", "'9999-12-31 23:59:59.999999'", "'2013-07-01'"),
    "TIMESTAMP WITH TIME ZONE": (
        "'1000-01-01 00:00:00.000001+00'",
        "'9999-12-31 23:59:59.999999+00'",
        "'2013-07-01 02:00:00+02'",
    ),
    "INTEGER[]": ("[]", "[1, null, -1]", "[0]"),
    "DOUBLE[]": ("['nan'::double, 1]", "['-inf'::double, null]", "[0.5]"),
    "TIMESTAMP WITH TIME ZONE[][]": ("[[]]", "[['2013-07-01 00:00:00+00', null], null]", "[]"),
    'STRUCT("a b" DOUBLE, c VARCHAR[], d DATE)': (
        "{'a b': 'nan'::double, 'c': ['x'], 'd': '2013-07-01'}",
        "{'a b': null, 'c': null, 'd': null}",
        "{'a b': 1.5, 'c': [], 'd': '0001-01-01'}",
    ),
    "MAP(VARCHAR, BIGINT)": ("map {}", "map {'a': 9007199254740993, 'b': null}", "map {'': 1}"),
    "MAP(DATE, DECIMAL(5,2)[])": (
        "map {'2013-07-01'::date: [1.5]}",
        "map {}",
        "map {'0001-01-01'::date: null}",
    ),
}


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A feature table with a column of each type, made by DuckDB, and synced."""
    project = Project(tmp_path_factory.mktemp("typed"))
    names = {f"c{i}": kind for i, kind in enumerate(COLUMNS)}
    view = make_view(
        "wide",
        entities=(Column("id", "BIGINT"),),
        stored=tuple(Column(name, kind) for name, kind in names.items()),
        features=tuple(Feature(name, kind) for name, kind in names.items()),
    )
    project.add(view)
    project.service("all", *(("wide", name) for name in names))
    rows = [
        ", ".join(
            f"cast(cast({sqls[i]} as {kind}) as {WIDENED.get(kind, kind)}) as c{n}"
            for n, (kind, sqls) in enumerate((k, (*v, "null")) for k, v in COLUMNS.items())
        )
        for i in range(4)
    ]
    query = " union all ".join(f"select {i}::bigint as id, {row}" for i, row in enumerate(rows))
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        relation = connection.sql(query)
        chosen = stored_select(stored_columns(relation, "test"), relation)
        table = relation.project(chosen).to_arrow_table()
    project.build(view, table, MORNING)
    sync(project.catalog)
    write_catalog(project.folder, project.catalog)
    return project


@pytest.fixture(scope="module")
def expected(typed: Project) -> dict[int, dict[str, Any]]:
    """By id DuckDB's own values of the feature table's rows, in the features' types."""
    table = find_table(open_lake(typed.catalog.lake), "features.wide")
    assert table is not None
    stored = table.scan().to_arrow()
    names = {f"c{i}": kind for i, kind in enumerate(COLUMNS)}
    chosen = ", ".join(f"cast({quoted(name)} as {kind})" for name, kind in names.items())
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("stored", stored)
        found = connection.sql(f"select id, {chosen} from stored").fetchall()
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in found}


@pytest.fixture(scope="module")
def ways(typed: Project) -> Iterator[list[Client | LocalClient]]:
    with (
        server_of(typed.catalog, typed.folder) as server,
        Client(server.url, timeout=30) as client,
        LocalClient(typed.folder) as local,
    ):
        yield [client, local]


@pytest.mark.parametrize(
    "ids", [[0], [1], [2], [3], [7], [2, 7, 1, 3, 0], [i % 5 for i in range(1_203)]]
)
def test_all_types_agree_with_duckdb(
    ways: list[Client | LocalClient], expected: dict[int, dict[str, Any]], ids: list[int]
) -> None:
    nothing = {f"c{i}": None for i in range(len(COLUMNS))}
    rows = [expected.get(i, nothing) for i in ids]
    for way in ways:
        vectors = way.vectors("all", {"id": ids})
        assert list(vectors.types.values()) == list(COLUMNS)
        assert [absent.row for absent in vectors.absent] == [
            at for at, i in enumerate(ids) if i not in expected
        ]
        for row, made in zip(rows, vectors.to_dicts(), strict=True):
            for name, value in row.items():
                kind = vectors.types[f"wide__{name}"]
                assert same(made[f"wide__{name}"], value), (kind, made[f"wide__{name}"], value)
        for name in nothing:
            column = vectors.to_dict()[f"wide__{name}"]
            assert all(map(same, column, [row[name] for row in rows]))


def test_frames_hold_the_same_values(
    ways: list[Client | LocalClient], expected: dict[int, dict[str, Any]]
) -> None:
    ids = [0, 1, 2, 3, 7]
    for way in ways:
        vectors = way.vectors("all", {"id": ids})
        table = vectors.to_arrow()
        polars, pandas = vectors.to_polars(), vectors.to_pandas()
        for name in table.column_names:
            kind = parse_type(vectors.types[name])
            wanted = [expected.get(i, {}).get(name.removeprefix("wide__")) for i in ids]
            assert all(map(same, from_frame(kind, table[name].to_pylist()), wanted)), kind
            assert polars[name].is_null().to_list() == [value is None for value in wanted]
            assert pandas[name].isna().tolist() == [value is None for value in wanted]
            if kind.is_integer:
                assert [v if v is None else int(v) for v in polars[name].to_list()] == wanted


@pytest.mark.parametrize("type_name", [*VALUES, "MAP(INTEGER[], VARCHAR)"])
@given(data=st.data())
def test_drawn_values_come_through(type_name: str, data: st.DataObject) -> None:
    lists = st.lists(st.integers(-9, 9), max_size=3)
    draws = VALUES.get(type_name, st.lists(st.tuples(lists, st.none() | st.text())))
    values = data.draw(st.lists(st.none() | draws, min_size=1, max_size=4))
    vectors = answered(type_name, values)
    kind = parse_type(type_name)
    wanted = values
    if kind.name == "MAP" and not kind.items[0].items:
        wanted = [value if value is None else dict(value) for value in values]
    assert all(map(same, vectors.to_dict()["v__x"], wanted))
    assert all(map(same, [row["v__x"] for row in vectors.to_dicts()], wanted))
    if not any(isinstance(v, int) and abs(v) >= 10**38 for v in values):
        assert all(map(same, from_frame(kind, vectors.to_arrow()["v__x"].to_pylist()), wanted))


def answered(type_name: str, values: list[Any]) -> Vectors:
    """The vectors of a server's answer with one feature."""
    declared = parse_type(type_name)
    rows = ",".join(f"[{encode_value(declared, value)}]" for value in values)
    head = orjson.dumps({"features": ["v__x"], "types": [type_name], "absent": []})
    body = head[:-1] + f',"vectors":[{rows}]}}'.encode()
    return read_vectors(vector_requests("s", {"k": [1]}, None, False), [Reply(body)], "test")


def from_frame(kind: Any, values: list[Any]) -> list[Any]:
    """Values of an Arrow column as Python's of the feature's type."""
    return [value if value is None else _from_frame(kind, value) for value in values]


def _from_frame(kind: Any, value: Any) -> Any:
    if kind.name in ("HUGEINT", "UHUGEINT"):
        return int(value)
    if kind.name == "UUID":
        return uuid.UUID(value)
    if kind.name == "TIMESTAMP WITH TIME ZONE":
        return value.astimezone(UTC)
    if kind.name == "LIST":
        return from_frame(kind.items[0], value)
    if kind.name == "STRUCT":
        kinds = zip(kind.fields, kind.items, strict=True)
        return {name: from_frame(item, [value[name]])[0] for name, item in kinds}
    if kind.name == "MAP":
        keys, items = kind.items
        pairs = [(from_frame(keys, [k])[0], from_frame(items, [v])[0]) for k, v in value]
        return pairs if keys.items else dict(pairs)
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are alike to the last bit, their types too."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other and one.utcoffset() == other.utcoffset()
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        alike = one == other and math.copysign(1, one) == math.copysign(1, other)
        return alike or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        keys = {(type(key), key) for key in one} == {(type(key), key) for key in other}
        return keys and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


def test_an_integer_that_arrow_has_no_type_for_is_told() -> None:
    vectors = answered("UHUGEINT", [2**128 - 1])
    assert vectors.to_dicts() == [{"v__x": 2**128 - 1}]
    with pytest.raises(DataError, match="does not fit Arrow"):
        vectors.to_arrow()
