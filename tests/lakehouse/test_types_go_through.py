"""Every type of DuckDB's goes through tables and the API whole, or is refused at compile."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from feature_specs.catalog import Feature
from feature_specs.compile import compile_view
from feature_specs.errors import CompileError, ForebayError
from feature_specs.leaf import Leaf
from feature_specs.sql_types import parse_type
from feature_specs.view import FeatureView
from lakehouse.feature_tables.feature_types import table_types
from lakehouse.lake import load_table
from serving.columns import RowEncoder
from serving.read_time import compile_feature
from serving.rows import encoder, split_row
from tests.lakehouse.builds import Build
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.many_cases

DAY, AT = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 10, tzinfo=UTC)
EVENTS = Leaf("events", {"k": "VARCHAR", "ts": "TIMESTAMP WITH TIME ZONE"}, event_time="ts")
ID = "2fd4d5ad-16f2-47d8-b4a5-1b3f8d0ee3c0"

#: Type, a value, and how the API answers with it.
WHOLE: list[tuple[str, str, object]] = [
    ("BOOLEAN", "true", True),
    ("TINYINT", "-128", -128),
    ("SMALLINT", "-32768", -32768),
    ("INTEGER", "-2147483648", -2147483648),
    ("BIGINT", "9007199254740993", 9007199254740993),
    ("HUGEINT", "18446744073709551617", "18446744073709551617"),
    ("UTINYINT", "255", 255),
    ("USMALLINT", "65535", 65535),
    ("UINTEGER", "4294967295", 4294967295),
    ("UBIGINT", "18446744073709551615", "18446744073709551615"),
    ("UHUGEINT", "18446744073709551616", "18446744073709551616"),
    ("FLOAT", "0.5", 0.5),
    ("DOUBLE", "0.1", 0.1),
    ("DECIMAL(12,2)", "1.25", "1.25"),
    ("VARCHAR", "'x'", "x"),
    ("BLOB", "'\\xAA'", "qg=="),
    ("UUID", f"'{ID}'", ID),
    ("JSON", "'[1]'", "[1]"),
    ("DATE", "'2024-01-02'", "2024-01-02"),
    ("TIME", "'01:02:03.5'", "01:02:03.500000"),
    ("TIMESTAMP", "'2024-01-02 03:04:05'", "2024-01-02T03:04:05.000000"),
    ("TIMESTAMP_S", "'2024-01-02 03:04:05'", "2024-01-02T03:04:05.000000"),
    ("TIMESTAMP_MS", "'2024-01-02 03:04:05'", "2024-01-02T03:04:05.000000"),
    ("TIMESTAMPTZ", "'2024-01-02 03:04:05+01'", "2024-01-02T02:04:05.000000Z"),
    ("ENUM('a', 'b')", "'b'", "b"),
    ("INTEGER[]", "[1, null]", [1, None]),
    ("INTEGER[2]", "[1, 2]", [1, 2]),
    ("UUID[]", f"['{ID}']", [ID]),
    ("STRUCT(a TINYINT, b DATE)", "{'a': 1, 'b': '2024-01-02'}", {"a": 1, "b": "2024-01-02"}),
    ("MAP(VARCHAR, INTEGER)", "map {'a': 1}", [["a", 1]]),
]
REFUSED: list[tuple[str, str, str]] = [
    ("INTERVAL", "'1 day'", "seconds: epoch("),
    ("INTERVAL[]", "[interval 1 day]", "cast it"),
    ("STRUCT(a INTERVAL)", "{'a': interval 1 day}", "cast it"),
    ("BIT", "'0101'", "as varchar"),
    ("BIGNUM", "5", "as varchar"),
    ("VARIANT", "5", "as varchar"),
    ("GEOMETRY", "'POINT(1 2)'", "as varchar"),
    ("TIMETZ", "'01:02:03+02'", "as varchar"),
    ("TIME_NS", "'01:02:03'", "as time"),
    ("TIMESTAMP_NS", "'2024-01-02 03:04:05'", "as timestamp"),
    ("TIMESTAMPTZ_NS", "'2024-01-02 03:04:05+00'", "as timestamptz"),
    ("TIMESTAMP_NS[]", "['2024-01-02 03:04:05']", "cast it"),
    ("UINTEGER[]", "[1]", "cast it"),
    ("UNION(n INTEGER, s VARCHAR)", "5", ""),
    ('"NULL"', "null", "as double"),
]


def view_of(*features: str) -> FeatureView:
    sql = f"select k, ts, {', '.join(features)} from events"
    return FeatureView(name="v", sql=sql, entities=("k",), event_time="ts", file="v.sql")


def test_no_type_is_forgotten() -> None:
    """`duckdb_types()` names them all; a tuple and a type of types are not columns."""
    with duckdb.connect() as connection:
        found = connection.execute("select distinct logical_type from duckdb_types()").fetchall()
    tested = {str(duckdb.sqltype(k).id).upper().replace('"', "") for k, *_ in [*WHOLE, *REFUSED]}
    assert {k for (k,) in found} - tested <= {"TUPLE", "TYPE"}


def test_what_goes_through_is_built_read_and_answered(tmp_path: Path) -> None:
    items = [f"cast({value} as {kind}) as f{n}" for n, (kind, value, _) in enumerate(WHOLE)]
    build = Build(tmp_path, view_of(*items), [EVENTS])
    build.append(EVENTS, [("a", DAY)])
    build.advance(AT)
    build.append(EVENTS, [("b", DAY)])
    build.advance(AT)  # the second build writes by another way than the first
    rows = read_arrow(load_table(build.lake, build.entry.table))
    for _, row in RowEncoder(build.entry).encode(rows):
        answered = [json.loads(f) for f in split_row(row)[1]]
        assert answered == [expected for *_, expected in WHOLE]


@pytest.mark.parametrize(("kind", "value", "hint"), REFUSED, ids=[k for k, *_ in REFUSED])
@pytest.mark.parametrize("read", [False, True], ids=["stored", "read"])
def test_what_does_not_is_refused_at_compile(kind: str, value: str, hint: str, read: bool) -> None:
    written = value if kind == '"NULL"' else f"cast({value} as {kind})"
    if read and kind != '"NULL"':
        written = f"case when now() > ts then {written} end"
    with pytest.raises(CompileError) as caught:
        table_types(compile_view(view_of(f"{written} as f"), [EVENTS]))
    assert str(caught.value).startswith("v.sql")
    assert hint in caught.value.hint or "when a vector is read" in caught.value.what


def test_an_interval_says_what_to_write() -> None:
    for written in ("now() - ts", "ts - timestamptz '2024-01-01'"):
        with pytest.raises(CompileError, match="is of type INTERVAL") as caught:
            table_types(compile_view(view_of(f"{written} as since"), [EVENTS]))
        assert caught.value.line == 1
        view = compile_view(view_of(f"epoch({written}) as since"), [EVENTS])
        assert table_types(view)[1]["since"] == "DOUBLE"


@pytest.mark.parametrize(("kind", "value", "expected"), WHOLE, ids=[k for k, *_ in WHOLE])
def test_read_time_features_are_answered_or_refused(
    kind: str, value: str, expected: object, tmp_path: Path
) -> None:
    written = f"case when now() > timestamptz '2024-01-01' then cast({value} as {kind}) end as f"
    try:
        build = Build(tmp_path, view_of(written), [EVENTS])
        (feature,) = build.compiled.features
        answered = Feature("f", table_types(build.compiled)[1]["f"], expression=feature.tree)
        made = compile_feature(build.entry, answered)
    except ForebayError as error:
        assert "when a vector is read" in str(error)
        return
    assert json.loads(encoder(made.type)(made.evaluate({}, AT, {}))) == expected


def test_no_type_falls_to_anothers_encoder() -> None:
    with pytest.raises(ForebayError, match="INTERVAL cannot be answered"):
        encoder(parse_type("INTERVAL"))
