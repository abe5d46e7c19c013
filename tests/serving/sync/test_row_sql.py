"""Rows that DuckDB encodes are, byte for byte, those that serving.rows and serving.keys encode."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_specs.catalog import Column, ViewEntry
from feature_specs.errors import DataError
from feature_specs.quote import literal
from feature_specs.sql_types import parse_type
from serving.columns import RowEncoder
from serving.keys import encode_key, key_texts
from serving.sync.encode import encoding, read_batches
from serving.sync.row_sql import RowSql
from tests.serving.project import TZ, UTC_US, instant, make_view
from tests.serving.stored_rows import encode_row, encode_value

pytestmark = pytest.mark.many_cases

TEXTS = st.text(st.characters(codec="utf-8"))
ESCAPES = st.text(st.sampled_from('"\\/\0\1\x1f\x7f\n\t\b\f\r\u2028é𝄞a'))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
EXACT = Context(prec=80)
HUGE = st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))
ZONED = MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))

#: Declared type to the Arrow type of its column and values of it.
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "BIGINT": (pa.int64(), INTEGERS),
    "SMALLINT": (pa.int32(), st.integers(-(2**15), 2**15 - 1)),
    "HUGEINT": (pa.decimal128(38, 0), HUGE),
    "BOOLEAN": (pa.bool_(), st.booleans()),
    "DOUBLE": (pa.float64(), st.floats()),
    "FLOAT": (pa.float32(), st.floats(width=32)),
    "DECIMAL(38,10)": (
        pa.decimal128(38, 10),
        st.decimals(-(10**27), 10**27, places=10, allow_nan=False),
    ),
    "DECIMAL(5,2)": (pa.decimal128(5, 2), st.decimals(-999, 999, places=2, allow_nan=False)),
    "DECIMAL(4,4)": (
        pa.decimal128(4, 4),
        st.decimals(-1, 1, places=4).filter(lambda d: abs(d) < 1),
    ),
    "DECIMAL(38,38)[]": (
        pa.list_(pa.decimal128(38, 38)),
        st.lists(st.none() | HUGE.map(lambda unscaled: EXACT.scaleb(unscaled, -38))),
    ),
    "VARCHAR": (pa.string(), TEXTS | ESCAPES),
    "BLOB": (pa.binary(), st.binary()),
    "DATE": (pa.date32(), st.dates()),
    "TIME": (pa.time64("us"), st.times()),
    "TIMESTAMP": (pa.timestamp("us"), MOMENTS),
    TZ: (UTC_US, ZONED),
    "BIGINT[]": (pa.list_(pa.int64()), st.lists(st.none() | INTEGERS)),
    "VARCHAR[][]": (
        pa.list_(pa.list_(pa.string())),
        st.lists(st.none() | st.lists(st.none() | ESCAPES)),
    ),
    'STRUCT("a ""b" DOUBLE, c VARCHAR[])': (
        pa.struct({'a "b': pa.float64(), "c": pa.list_(pa.string())}),
        st.fixed_dictionaries({'a "b': st.none() | st.floats(), "c": st.none() | st.lists(TEXTS)}),
    ),
    "MAP(VARCHAR, DOUBLE)": (
        pa.map_(pa.string(), pa.float64()),
        st.dictionaries(ESCAPES, st.none() | st.floats()).map(lambda pairs: list(pairs.items())),
    ),
}
KEYS = (
    "BIGINT",
    "HUGEINT",
    "BOOLEAN",
    "DECIMAL(5,2)",
    "DECIMAL(4,4)",
    "VARCHAR",
    "DATE",
    "TIMESTAMP",
    TZ,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with encoding(RowSql(make_view("none"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "rows.parquet"


def encoded(
    connection: duckdb.DuckDBPyConnection, view: ViewEntry, rows: pa.Table, file: Path
) -> list[tuple[bytes, bytes]]:
    """The rows as read from a Parquet file, whose bounds DuckDB may draw conclusions from."""
    pq.write_table(rows, file)
    sql = RowSql(view)
    select = (
        f"select {sql.key}, {sql.row} from read_parquet({literal(str(file))}) where {sql.whole}"
    )
    connection.execute("set preserve_insertion_order = true")
    return [
        pair
        for keys, values in read_batches(connection, select)
        for pair in zip(keys, values, strict=True)
    ]


@pytest.mark.parametrize("type_name", KINDS)
@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(data=st.data())
def test_values(
    type_name: str, data: st.DataObject, connection: duckdb.DuckDBPyConnection, file: Path
) -> None:
    arrow, values = KINDS[type_name]
    column = pa.array(data.draw(st.lists(st.none() | values, max_size=20)), arrow)
    view = make_view("v", stored=(Column("f", type_name), Column("f2", type_name)))
    keys = [str(n) for n in range(len(column))]
    rows = pa.table({"carrier": pa.array(keys, pa.string()), "f": column, "f2": column})
    fragments = [encode_value(parse_type(type_name), value) for value in column.to_pylist()]
    expected = [
        (key.encode(), encode_row(None, [each, each]))
        for key, each in zip(keys, fragments, strict=True)
    ]
    assert encoded(connection, view, rows, file) == expected
    assert list(RowEncoder(view).encode(rows)) == expected


@settings(suppress_health_check=list(HealthCheck), max_examples=150)
@given(data=st.data())
def test_keys(data: st.DataObject, connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3))
    entities = tuple(Column(f"k{n}", kind) for n, kind in enumerate(kinds))
    view = make_view("v", entities=entities, stored=())
    drawn = data.draw(st.lists(st.tuples(*(st.none() | KINDS[kind][1] for kind in kinds))))
    columns = [pa.array([row[n] for row in drawn], KINDS[k][0]) for n, k in enumerate(kinds)]
    rows = pa.table(columns, names=[c.name for c in entities])
    whole = [row for row in zip(*(c.to_pylist() for c in columns), strict=True) if None not in row]
    texts = key_texts(entities)
    expected = [encode_key([text(v) for text, v in zip(texts, row, strict=True)]) for row in whole]
    assert encoded(connection, view, rows, file) == [(key, b"") for key in expected]


def test_a_uuid_is_one_key_however_it_is_written(
    connection: duckdb.DuckDBPyConnection, file: Path
) -> None:
    one = UUID("2FD4D5AD-16F2-47D8-B4A5-1B3F8D0EE3C0")
    view = make_view("v", entities=(Column("k", "UUID"),), stored=(Column("f", "UUID"),))
    rows = pa.table({"k": [str(one).upper()], "f": [str(one)]})
    assert encoded(connection, view, rows, file) == [
        (str(one).encode(), b'\0"%s"' % bytes(str(one), "ascii"))
    ]


@settings(suppress_health_check=list(HealthCheck))
@given(times=st.lists(ZONED | ZONED.map(lambda moment: moment.replace(microsecond=0))))
def test_event_times(
    times: list[datetime], connection: duckdb.DuckDBPyConnection, file: Path
) -> None:
    view = make_view("v", event_time="Seen_At", stored=(Column("n", "BIGINT"),))
    rows = pa.table(
        {
            "carrier": pa.array(map(str, range(len(times))), pa.string()),
            "seen_at": pa.array(times, UTC_US),
            "n": pa.array([1] * len(times), pa.int64()),
        }
    )
    assert encoded(connection, view, rows, file) == list(RowEncoder(view).encode(rows))


def test_event_times_may_be_dates(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    view = make_view("v", event_time="day", stored=())
    days = pa.array([date(1, 1, 1), date(2024, 2, 29), date(9999, 12, 31)])
    rows = pa.table({"carrier": ["a", "b", "c"], "day": days})
    found = encoded(connection, view, rows, file)
    assert found == list(RowEncoder(view).encode(rows))
    assert found[1] == (b"b", b"2024-02-29T00:00:00")


def test_any_double(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Bits at random, and round numbers: DuckDB's text is Python's, the shortest that reads back."""
    drawn = random.Random(14)
    values = [struct.unpack("d", drawn.randbytes(8))[0] for _ in range(20_000)]
    values += [round(drawn.uniform(-1e6, 1e6), drawn.randint(0, 6)) for _ in range(10_000)]
    values += [m * 10.0**e for e in range(-324, 309) for m in (1, -1, 1.5, 9.999999999999999)]
    values += [2.0**e for e in range(-1074, 1024)]
    view = make_view("v", stored=(Column("f", "DOUBLE"),))
    rows = pa.table({"carrier": [str(n) for n in range(len(values))], "f": values})
    double = parse_type("DOUBLE")
    assert [row for _, row in encoded(connection, view, rows, file)] == [
        encode_row(None, [encode_value(double, value)]) for value in values
    ]


FAR = 253_402_300_800_000_000


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("DATE", pa.array([10_000_000], pa.int32()).cast(pa.date32())),
        ("TIMESTAMP", pa.array([FAR], pa.timestamp("us"))),
        (TZ, pa.array([FAR], UTC_US)),
        (TZ, pa.array([-FAR], UTC_US)),
        (f"{TZ}[]", pa.array([[FAR]], pa.list_(UTC_US))),
    ],
)
def test_a_value_that_no_python_holds_is_named(kind: str, value: pa.Array, file: Path) -> None:
    view = make_view("far", stored=(Column("n", "BIGINT"), Column("day", kind)))
    rows = pa.table({"carrier": ["AA"], "n": [1], "day": value})
    with (
        pytest.raises(DataError, match="a value of 'day' cannot be stored online") as refused,
        encoding(RowSql(view)) as opened,
    ):
        encoded(opened, view, rows, file)
    assert refused.value.where == "far"


@pytest.mark.parametrize(
    ("time", "said"), [(None, "has no seen_at"), (FAR, "outside the years 1 to 9999")]
)
def test_event_times_that_cannot_be_stored(time: int | None, said: str, file: Path) -> None:
    view = make_view("v", event_time="seen_at", stored=())
    times = pa.array([epoch(instant("06-01")), time], pa.int64()).cast(UTC_US)
    with pytest.raises(DataError, match=said), encoding(RowSql(view)) as opened:
        encoded(opened, view, pa.table({"carrier": ["a", "b"], "seen_at": times}), file)


def epoch(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
