"""Training sets over frames: each value is the oracle's, and each of the caller's is as it was."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import forebay
from feature_specs.errors import DataError, ForebayError
from forebay.training import TrainingSet
from tests.forebay.training.conftest import COUNT, LAST, SERVICE, Oracle

pytestmark = pytest.mark.many_cases

UTC = dt.UTC
#: The project's payments end when it is made.
AT = dt.datetime.now(UTC).replace(microsecond=0) - dt.timedelta(days=20)


def spine_of(frame: pd.DataFrame) -> list[tuple[Any, Any]]:
    """The keys and instants of a frame's rows, as Python has them."""
    return list(
        zip(frame["customer_id"].tolist(), frame["event_timestamp"].dt.to_pydatetime(), strict=True)
    )


def features_of(table: pa.Table) -> list[tuple[Any, Any]]:
    return list(zip(table[COUNT].to_pylist(), table[LAST].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def made(project: forebay.OpenProject, labels: pd.DataFrame) -> TrainingSet:
    return project.training_set(SERVICE, labels)


@pytest.fixture(scope="module")
def expected(labels: pd.DataFrame, oracle: Oracle) -> list[tuple[Any, Any]]:
    return [oracle.of(customer, at) for customer, at in spine_of(labels)]


def test_each_way_out_gives_the_oracle_s_values_in_the_caller_s_order(
    made: TrainingSet, labels: pd.DataFrame, expected: list[tuple[Any, Any]], tmp_path: Path
) -> None:
    assert len(set(expected)) > 20
    frame = made.to_pandas()
    assert features_of(made.to_arrow()) == expected
    assert frame.index.equals(labels.index)
    assert frame[labels.columns].equals(labels)
    pairs = zip(
        frame[COUNT].array.to_numpy(object), frame[LAST].array.to_numpy(object), strict=True
    )
    assert [tuple(None if v is pd.NA else v for v in pair) for pair in pairs] == expected
    assert features_of(made.to_polars().to_arrow()) == expected
    batches = made.batches(7)
    for _ in range(2):  # each iteration starts anew
        given = list(batches)
        assert {b.num_rows for b in given[:-1]} == {7}
        assert features_of(pa.Table.from_batches(given)) == expected
    path = made.write(tmp_path / "set.parquet")
    assert features_of(pq.read_table(path)) == expected
    numbers = made.to_numpy([COUNT, LAST])
    assert numbers.dtype == np.float64
    known = [[np.nan if v is None else float(v) for v in pair] for pair in expected]
    np.testing.assert_array_equal(numbers, np.array(known))
    assert made.record["spine"]["rows"] == len(made) == 60


def test_two_readings_side_by_side_and_one_that_stops(
    made: TrainingSet, expected: list[tuple[Any, Any]]
) -> None:
    first, second = iter(made.batches(5)), iter(made.batches(9))
    got: dict[int, list[pa.RecordBatch]] = {0: [], 1: []}
    for _ in range(3):
        got[0].append(next(first))
        got[1].append(next(second))
    assert features_of(pa.Table.from_batches(got[0])) == expected[:15]
    assert features_of(pa.Table.from_batches(got[1])) == expected[:27]
    first.close()  # type: ignore[attr-defined]
    assert features_of(pa.Table.from_batches([*got[1], *second])) == expected


def given_as(labels: pd.DataFrame, how: str, folder: Path) -> Any:
    plain = labels.reset_index()
    table = pa.Table.from_pandas(plain, preserve_index=False)
    match how:
        case "polars":
            return pl.from_pandas(plain)
        case "lazy":
            return pl.from_pandas(plain).lazy()
        case "arrow":
            return table
        case "chunks":
            return pa.concat_tables([table.slice(0, 13), table.slice(13, 1), table.slice(14)])
        case "reader":
            return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(11))
        case "relation":
            return duckdb.connect().from_arrow(table)
        case "mapping":
            return {name: table[name] for name in table.column_names}
    pq.write_table(table, folder / "spine.parquet")
    return str(folder / "spine.parquet")


@pytest.mark.parametrize(
    "how",
    ["polars", "lazy", "arrow", "chunks", "reader", "relation", "mapping", "path"],
)
def test_each_way_in(
    project: forebay.OpenProject,
    labels: pd.DataFrame,
    expected: list[tuple[Any, Any]],
    how: str,
    tmp_path: Path,
) -> None:
    with project.training_set(SERVICE, given_as(labels, how, tmp_path)) as made:
        table = made.to_arrow()
        assert made.to_polars().height == 60
    if how == "path":  # the rows of a file come in any order
        ids = list(labels.index)
        table = table.take(pa.array([table["payment_id"].to_pylist().index(i) for i in ids]))
    assert table["payment_id"].to_pylist() == list(labels.index)
    assert features_of(table) == expected


def test_columns_of_run_ends(
    project: forebay.OpenProject, labels: pd.DataFrame, expected: list[tuple[Any, Any]]
) -> None:
    table = pa.Table.from_pandas(labels, preserve_index=False)
    ends = pa.table([pc.run_end_encode(c) for c in table.columns], names=table.column_names)
    made = project.training_set(SERVICE, ends).to_arrow()
    assert features_of(made) == expected
    assert made.select(ends.column_names).schema == ends.schema


def test_a_query_over_the_lake(project: forebay.OpenProject, oracle: Oracle) -> None:
    query = "select customer_id, paid_at + interval 1 hour as asked from shop.payments limit 40"
    made = project.training_set(SERVICE, query)
    table = made.to_arrow()
    rows = zip(table["customer_id"].to_pylist(), table["asked"].to_pylist(), strict=True)
    assert features_of(table) == [oracle.of(*row) for row in rows]
    assert made.record["spine"] == {"query": query, "rows": 40}


KEYS: dict[str, Any] = {
    "int8": np.array([1, 2, 3], "int8"),
    "uint64": np.array([1, 2, 3], "uint64"),
    "Int64 with a null": pd.array([1, None, 3], "Int64"),
    "UInt8": pd.array([1, 2, 3], "UInt8"),
    "int64[pyarrow] with a null": pd.array([1, None, 3], "int64[pyarrow]"),
    "objects": np.array([1, 2, None], object),
    "numpy objects": np.array([np.int16(1), 2, 3], object),
    "decimal objects": np.array([Decimal(1), Decimal("2"), None], object),
    "decimal[pyarrow]": pd.array(
        [Decimal(1), None, Decimal(3)], pd.ArrowDtype(pa.decimal128(20, 0))
    ),
    "categorical": pd.Categorical([1, None, 3]),
    "dictionary[pyarrow]": pd.array(
        pa.array([1, 2, 1]).dictionary_encode(),
        pd.ArrowDtype(pa.dictionary(pa.int32(), pa.int64())),
    ),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_each_type_are_the_key_s_own(
    project: forebay.OpenProject, oracle: Oracle, kind: str
) -> None:
    frame = pd.DataFrame({"customer_id": KEYS[kind], "event_timestamp": pd.Timestamp(AT)})
    out = project.training_set(SERVICE, frame).to_pandas()
    assert out[frame.columns].equals(frame)
    keys = [None if pd.isna(k) else int(k) for k in frame["customer_id"]]
    got = pa.Table.from_pandas(out[[COUNT, LAST]])
    assert features_of(got) == [oracle.of(key, AT) for key in keys]


INSTANTS: dict[str, Any] = {
    "us": pd.Series([AT]).astype("datetime64[us, UTC]"),
    "ns rounds down": pd.Series([pd.Timestamp(AT) + pd.Timedelta(999, "ns")]),
    "s": pd.Series([AT]).astype("datetime64[s, UTC]"),
    "another zone": pd.Series([pd.Timestamp(AT).tz_convert("America/New_York")]),
    "objects of several zones": pd.Series(
        [AT.astimezone(dt.timezone(dt.timedelta(hours=9)))], dtype=object
    ),
    "arrow ms": pd.Series(
        [pd.Timestamp(AT)], dtype=pd.ArrowDtype(pa.timestamp("ms", "Asia/Tokyo"))
    ),
}


@pytest.mark.parametrize("kind", INSTANTS)
def test_instants_of_each_type(project: forebay.OpenProject, oracle: Oracle, kind: str) -> None:
    frame = pd.DataFrame({"customer_id": [8], "event_timestamp": INSTANTS[kind]})
    made = project.training_set(SERVICE, frame)
    assert features_of(made.to_arrow()) == [oracle.of(8, AT)]
    assert made.to_pandas()[frame.columns].equals(frame)


def test_instants_without_a_zone_need_one(project: forebay.OpenProject, oracle: Oracle) -> None:
    local = pd.Timestamp(AT).tz_convert("America/New_York").tz_localize(None)
    frame = pd.DataFrame({"customer_id": [8], "event_timestamp": [local]})
    with pytest.raises(DataError, match=r'^spine: .*have no time zone\. Hint: .*timezone="UTC"$'):
        project.training_set(SERVICE, frame)
    made = project.training_set(SERVICE, frame, timezone="America/New_York")
    assert features_of(made.to_arrow()) == [oracle.of(8, AT)]


#: Columns beside the key and the instant, each of three rows with a null where it can have one.
BESIDE: dict[str, pa.Array] = {
    "bool": pa.array([True, None, False]),
    "float with NaN and null": pa.array([float("nan"), None, -0.0]),
    "float16": pa.array(np.array([1.5, 2, 3], "float16")),
    "decimal": pa.array([Decimal("1.10"), None, Decimal("-9.99")], pa.decimal128(38, 2)),
    "decimal256": pa.array([Decimal(10**60), None, Decimal(1)], pa.decimal256(76, 0)),
    "text": pa.array(["Ü", None, ""]),
    "large text": pa.array(["Ü", None, ""], pa.large_string()),
    "text view": pa.array(["Ü", None, "longer than twelve bytes"], pa.string_view()),
    "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
    "bytes": pa.array([b"\0", None, b""]),
    "fixed bytes": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "date": pa.array([dt.date(1, 1, 1), None, dt.date(9999, 12, 31)]),
    "time of ns": pa.array([1, None, 2], pa.time64("ns")),
    "local time": pa.array([dt.datetime(1969, 1, 1), None, AT.replace(tzinfo=None)]),
    "ns": pa.array([1, None, -1], pa.timestamp("ns")),
    "zone": pa.array([AT, None, AT], pa.timestamp("us", "Asia/Tokyo")),
    "duration": pa.array([1, None, -1], pa.duration("s")),
    "interval": pa.array([(1, 2, 3), None, (0, 0, 0)], pa.month_day_nano_interval()),
    "list": pa.array([[1, None], None, []], pa.list_(pa.int64())),
    "struct": pa.array([{"a": 1}, None, {"a": None}]),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
    "nothing": pa.nulls(3),
    "uuid": pa.array([UUID(int=1).bytes, None, UUID(int=2).bytes], pa.uuid()),
}


@pytest.mark.parametrize("stream", [False, True])
def test_columns_beside_come_through_as_they_are(
    project: forebay.OpenProject, stream: bool
) -> None:
    keys = {"customer_id": pa.array([8, None, 1]), "event_timestamp": pa.array([AT, AT, None])}
    table = pa.table({**keys, **BESIDE})
    given = (
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches(2)) if stream else table
    )
    made = project.training_set(SERVICE, given, timestamp="event_timestamp")
    out = made.to_arrow()
    assert out.schema.types[: len(table.schema)] == table.schema.types
    for name in table.column_names:
        assert str(out[name].to_pylist()) == str(table[name].to_pylist()), name
    assert made.schema == out.schema
    assert made.without_entity == 2
    assert out[COUNT].to_pylist()[1:] == [None, None]


def test_a_frame_s_columns_are_the_caller_s_own(project: forebay.OpenProject) -> None:
    index = pd.MultiIndex.from_tuples([("b", 1), ("a", 2), ("a", 2)], names=["x", "y"])
    frame = pd.DataFrame(
        {
            "customer_id": [8, 1, 8],
            "event_timestamp": pd.Timestamp(AT),
            "category": pd.Categorical(["b", None, "a"], categories=["b", "a"], ordered=True),
            "mixed": [1, "one", None],
            "complex": [1j, 2, 3],
            "period": pd.period_range("2024-01", periods=3, freq="M"),
            "span": pd.to_timedelta([1, None, 3], "ns"),
        },
        index=index,
    )
    made = project.training_set(SERVICE, frame)
    out = made.to_pandas()
    pd.testing.assert_frame_equal(out[frame.columns], frame)
    frame["customer_id"] = 0  # later changes of the frame are not the set's
    assert made.to_pandas()["customer_id"].tolist() == [8, 1, 8]
    with pytest.raises(DataError, match="column 'mixed' cannot be read: it holds int and str val"):
        made.to_arrow()


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ([AT, AT.replace(tzinfo=None)], "datetime and datetime with a zone"),
        ([dt.date(2026, 1, 1), AT.replace(tzinfo=None)], "date and datetime"),
        ([pd.Timestamp(1), pd.Timestamp(2)], "finer than a microsecond"),
        (["a", b"a"], "bytes and str"),
        ([1, 1.5], "float and int"),
        ([True, 1], "bool and int"),
        ([[1], ["a"]], "int and str"),
        ([{"f": 1}, {"f": "a"}], "int and str"),
        ([dt.time(1, tzinfo=UTC), dt.time(2, tzinfo=UTC)], "with a zone"),
        ([2**64, 1], "too large"),
    ],
)
def test_objects_that_arrow_would_change_are_refused(
    project: forebay.OpenProject, values: list[Any], fault: str
) -> None:
    frame = pd.DataFrame({"customer_id": [8, 1], "event_timestamp": pd.Timestamp(AT)})
    frame["odd"] = pd.Series(values, dtype=object)
    with pytest.raises(DataError, match=fault):
        project.training_set(SERVICE, frame).to_arrow()


REFUSED: dict[str, tuple[Any, str]] = {}


def refused(name: str, fault: str, **changes: Any) -> None:
    frame = pd.DataFrame({"customer_id": [8], "event_timestamp": [pd.Timestamp(AT)]})
    REFUSED[name] = (frame.assign(**changes), fault)


refused("NaN in a key", "'customer_id' is a DOUBLE", customer_id=np.array([np.nan]))
refused("text key", "'customer_id' is a VARCHAR", customer_id="8")
refused("feature's name", "named like a feature", **{COUNT.upper(): 1})
refused("own name", "begins with fb_", fb_row=1)
refused("capitals", "two columns are named alike", Customer_ID=1)
refused(
    "text instant",
    "the instant 'event_timestamp' is a VARCHAR",
    event_timestamp="2026-10-10T12:00:00Z",
)
REFUSED["two columns of one name"] = (
    pd.concat([REFUSED["own name"][0]] * 2, axis=1),
    "two columns are named alike",
)
REFUSED["no text"] = (REFUSED["own name"][0].rename(columns={"fb_row": 3}), "not named by a text")
REFUSED["columns of levels"] = (
    pd.concat({"a": REFUSED["own name"][0]}, axis=1),
    "not named by a text",
)
REFUSED["key in the index"] = (
    REFUSED["text key"][0].set_index("customer_id"),
    r"frame\.reset_index\(\)",
)


REFUSED["quote in the instants' name"] = (
    REFUSED["own name"][0].drop(columns="fb_row").rename(columns={"event_timestamp": 'a"t'}),
    "holds a quote",
)
REFUSED["apostrophe in the instants' name"] = (
    REFUSED["own name"][0].drop(columns="fb_row").rename(columns={"event_timestamp": "a't"}),
    "holds a quote",
)
REFUSED["a column alone"] = (pd.Series([8]), "not an Arrow table")
REFUSED["a type that Arrow has not"] = (
    pl.DataFrame({"customer_id": [8], "n": pl.Series([1], dtype=pl.Int128)}),
    "not an Arrow table",
)
REFUSED["columns of two lengths"] = (
    {"customer_id": [1, 2], "event_timestamp": [AT]},
    "not an Arrow table",
)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_as_it_is_is_refused(project: forebay.OpenProject, case: str) -> None:
    frame, fault = REFUSED[case]
    with pytest.raises(ForebayError, match=fault) as caught:
        project.training_set(SERVICE, frame)
    assert str(caught.value).startswith("spine: ")
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"customer_id": [], "event_timestamp": []}),
        pd.DataFrame(columns=["customer_id", "event_timestamp"]),
        pd.DataFrame({"customer_id": [8], "event_timestamp": [pd.Timestamp(AT)]}).iloc[:0],
        pl.DataFrame({"customer_id": [], "event_timestamp": []}),
        pa.table({"customer_id": pa.array([], pa.int8()), "event_timestamp": pa.nulls(0)}),
    ],
)
def test_a_frame_without_rows(project: forebay.OpenProject, frame: Any, tmp_path: Path) -> None:
    made = project.training_set(SERVICE, frame)
    assert made.to_arrow().shape == made.to_pandas().shape == (0, 14)
    assert made.to_polars().shape == (0, 14)
    assert pq.read_table(made.write(tmp_path / "none.parquet")).schema.names == made.columns
    assert list(made.batches()) == []
    assert made.to_numpy([COUNT]).shape == (0, 1)


def test_other_formats_sizes_and_services_are_refused(
    project: forebay.OpenProject, made: TrainingSet, labels: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(ForebayError, match=r"write\(\): training sets are Parquet files"):
        made.write(tmp_path / "set.csv")
    path = tmp_path / "spine.parquet"
    labels.to_parquet(path)
    with (
        project.training_set(SERVICE, path) as of_file,
        pytest.raises(ForebayError, match="would replace its own spine"),
    ):
        of_file.write(path)
    for size in (0, -1, True, 2.5):
        with pytest.raises(DataError, match="is not a number of rows"):
            made.batches(size)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="is not a service's name"):
        project.training_set(["card_activity:payments_1d"], labels)  # type: ignore[arg-type]


def test_what_is_no_number_is_no_part_of_a_matrix(made: TrainingSet) -> None:
    with pytest.raises(DataError, match=r"last_category.*is string, which is not a number"):
        made.to_numpy()
