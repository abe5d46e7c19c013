"""Nested values of JSON and Parquet, times of day, UUIDs, bytes and long numbers: drawn, as above."""

from __future__ import annotations

import gzip
import json
import math
import uuid
from datetime import time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_specs.errors import DataError
from tests.lakehouse.ingest.oracle import REFUSED, json_scalar
from tests.lakehouse.ingest.test_what_arrives import INSTANT, read, read_path, reading

pytestmark = pytest.mark.slow

LEAVES = ("BIGINT", "INTEGER", "DOUBLE", "VARCHAR", "BOOLEAN", "DECIMAL(38,12)", INSTANT, "DATE")
texts = st.text(st.characters(codec="utf-8"), max_size=6)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-9, 9), texts,
    st.floats(), st.sampled_from([-0.0, 1e22, 5e-324, "2024-01-31", "2024-01-31T00:00:00Z"]),
    st.sampled_from(["2024-01-31T00:00:00", "1e5", "-0", "007", "\ufeff", "\U0001f600", ""]),
)  # fmt: skip
#: A type, as DuckDB spells it, and a strategy of JSON values that mostly are of it.
Shape = tuple[str, Any]


def _leaf(kind: str) -> st.SearchStrategy[Any]:
    fitting: dict[str, st.SearchStrategy[Any]] = {
        "BIGINT": st.integers(-(2**63), 2**63 - 1),
        "INTEGER": st.integers(-9, 9),
        "DOUBLE": st.floats(),
        "VARCHAR": texts,
        "BOOLEAN": st.booleans(),
        "DECIMAL(38,12)": st.decimals(-(10**20), 10**20, places=12).map(str),
        INSTANT: st.datetimes().map(lambda t: t.isoformat() + "Z"),
        "DATE": st.dates().map(str),
    }
    return st.none() | fitting[kind]


def _nested(kind: str) -> st.SearchStrategy[Shape]:
    leaf = _leaf(kind)
    fields = {"a": leaf, "b c": st.lists(leaf, max_size=2)}
    return st.sampled_from(
        [
            (f"{kind}[]", st.lists(leaf, max_size=3)),
            (f"{kind}[][]", st.lists(st.lists(leaf, max_size=2), max_size=2)),
            (f'STRUCT(a {kind}, "b c" {kind}[])', st.fixed_dictionaries({}, optional=fields)),
            (f"MAP(VARCHAR, {kind})", st.dictionaries(texts, leaf, max_size=3)),
        ]
    )


def of_json(value: Any, kind: str) -> Any:
    """What a JSON value is in a column of a type; REFUSED where it is none or would change."""
    if value is None:
        return None
    if kind.endswith("[]"):
        if not isinstance(value, list):
            return REFUSED
        found = [of_json(v, kind[:-2]) for v in value]
        return REFUSED if any(v is REFUSED for v in found) else found
    if kind.startswith("MAP("):
        pairs = [(k, of_json(v, kind[13:-1])) for k, v in value.items()]
        return REFUSED if any(v is REFUSED for _, v in pairs) else pairs
    if kind.startswith("STRUCT("):
        inner = kind[len("STRUCT(a ") :].split(', "b c" ')[0]
        fields = {
            "a": of_json(value.get("a"), inner),
            "b c": of_json(value.get("b c"), f"{inner}[]"),
        }
        return REFUSED if REFUSED in fields.values() else fields
    return json_scalar(value, kind)


def same(found: Any, wanted: Any) -> bool:
    """Equal, of the same type, and with the same sign of zero."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, float):
        if math.isnan(wanted) or math.isnan(found):
            return math.isnan(wanted) and math.isnan(found)
        return bool(found == wanted) and math.copysign(1, found) == math.copysign(1, wanted)
    return type(found) is type(wanted) and bool(found == wanted)


@given(st.data(), st.sampled_from(["lines", "array", "packed"]))
@settings(max_examples=40, deadline=None)
def test_nested_json(data: st.DataObject, layout: str) -> None:
    """All of it arrives, or the first object with a value that does not is named by its line."""
    kind, values = data.draw(st.sampled_from(LEAVES).flatmap(_nested))
    rows = data.draw(st.lists(values | st.none(), min_size=1, max_size=4))
    wanted = [of_json(v, kind) for v in rows]
    written = [json.dumps({"n": n, "v": v}) for n, v in enumerate(rows)]
    text = "[" + ",\n".join(written) + "]" if layout == "array" else "\n".join(written)
    name = {"lines": "a.jsonl", "array": "a.json", "packed": "a.jsonl.gz"}[layout]
    content = gzip.compress(text.encode()) if layout == "packed" else text.encode()
    types = {"n": "BIGINT", "v": kind}
    if REFUSED in wanted:
        with pytest.raises(DataError) as caught:
            read(name, content, types)
        assert f"{name}:{wanted.index(REFUSED) + 1}: column 'v' is " in str(caught.value)
        return
    try:
        table = read(name, content, types)
    except DataError as error:
        # A double's further digits stand in the text alone, which is not searched within objects.
        assert "e" in text and kind.endswith(("[]", ")")) and "DECIMAL" in kind, error
        return
    assert same(table["v"].to_pylist(), wanted)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "A", "b/c", "~", ""]), scalars), max_size=3))
@settings(max_examples=30, deadline=None)
def test_json_objects_into_a_new_column(values: list[Any]) -> None:
    """Objects become a struct in which each value is as it was, or they are refused."""
    content = "\n".join(json.dumps({"n": 0, "v": v}) for v in values).encode()
    try:
        table = read("a.jsonl", content)
    except DataError:
        return
    for given_, found in zip(values, table["v"].to_pylist(), strict=True):
        for key, value in found.items():
            wanted = given_.get(key)
            if isinstance(wanted, int) and isinstance(value, float):
                wanted = float(wanted) if int(float(wanted)) == wanted else REFUSED
            assert same(value, wanted), (key, value, wanted)
        assert given_.keys() <= found.keys()


@given(st.lists(st.integers(-(10**39), 10**39) | st.integers(-9, 9), min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_long_whole_numbers(values: list[int]) -> None:
    """Digits of CSV and JSON arrive in 38 digits, or are refused by line."""
    for name, rows in {
        "a.csv": ["v", *map(str, values)],
        "a.jsonl": [json.dumps({"v": v}) for v in values],
    }.items():
        for kind in ("HUGEINT", "DECIMAL(38,0)"):
            # `--types 'v hugeint'` means Iceberg's widest whole number.
            given_ = {"v": "DECIMAL(38,0)" if kind == "HUGEINT" else kind}
            wrong = [n for n, v in enumerate(values) if abs(v) >= 10**38]
            if wrong:
                with pytest.raises(
                    DataError, match=f"{name}:{wrong[0] + len(rows) - len(values) + 1}"
                ):
                    read(name, "\n".join(rows).encode(), given_)
            else:
                found = read(name, "\n".join(rows).encode(), given_)["v"].to_pylist()
                assert found == [Decimal(v) for v in values]


@given(st.lists(st.times() | st.none(), min_size=2, max_size=4), st.lists(st.uuids(), max_size=4))
@settings(max_examples=15, deadline=None)
def test_times_of_day_and_uuids(times: list[time | None], ids: list[uuid.UUID]) -> None:
    ids = [*ids, *[uuid.UUID(int=0)] * 4][: len(times)]
    rows = [{"t": t and t.isoformat(), "u": str(u)} for t, u in zip(times, ids, strict=True)]
    csv_text = "t,u\n" + "".join(f"{r['t'] or ''},{str(r['u']).upper()}\n" for r in rows)
    types = {"t": "TIME", "u": "UUID"}
    for name, text in {"a.csv": csv_text, "a.jsonl": "\n".join(map(json.dumps, rows))}.items():
        found = read(name, text.encode(), types)
        assert found["t"].to_pylist() == times
        assert found["u"].to_pylist() == [str(u) for u in ids]


u64, i8 = st.integers(0, 2**64 - 1), st.integers(-128, 127)
NESTED: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.list_(pa.uint64()): st.lists(st.none() | u64, max_size=3),
    pa.list_(pa.float32()): st.lists(st.floats(width=32), max_size=3),
    pa.struct([("a", pa.int8()), ("b", pa.binary())]): st.fixed_dictionaries(
        {"a": st.none() | i8, "b": st.none() | st.binary(max_size=4)}
    ),
    pa.map_(pa.string(), pa.uint8()): st.dictionaries(texts, i8.map(abs), max_size=3).map(
        lambda found: list(found.items())
    ),
    pa.time64("us"): st.times(),
    pa.binary(): st.binary(max_size=8),
    pa.decimal128(38, 12): st.decimals(-(10**25), 10**25, places=12),
    pa.large_string(): texts,
    pa.bool_(): st.booleans(),
    pa.float64(): st.floats(),
}


@given(st.sampled_from(list(NESTED)), st.data())
@settings(max_examples=40, deadline=None)
def test_parquet_values_of_further_types(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | NESTED[kind], min_size=1, max_size=4))
    if all(v is None for v in values) and pa.types.is_map(kind):
        values = [*values, []]
    with reading("a.parquet", b"") as (path, connection):
        pq.write_table(pa.table({"v": pa.array(values, kind)}), path)
        found = read_path(path, connection, None)["v"].to_pylist()
    whole = pa.types.is_list(kind) and pa.types.is_integer(kind.value_type)
    wanted = (
        [v and [x if x is None else Decimal(x) for x in v] for v in values] if whole else values
    )
    assert same(found, wanted), (found, wanted)
