"""Read-time expressions give what DuckDB gives: value, type and failure, operator by operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_specs.errors import CompileError, DataError
from feature_specs.instants import epoch_us
from feature_specs.sql_types import INTEGER_RANGE, parse_type
from serving.read_time import OPERATORS, compile_expression

pytestmark = pytest.mark.many_cases

CLOCK = datetime(2013, 7, 1, 12, 30, 15, 250_000, tzinfo=UTC)
TZ = "TIMESTAMP WITH TIME ZONE"
INTEGERS = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"]
DECIMALS = ["DECIMAL(5,2)", "DECIMAL(18,3)", "DECIMAL(30,10)", "DECIMAL(38,0)"]
FLOATS = ["FLOAT", "DOUBLE"]
NUMBERS = [*INTEGERS, *DECIMALS, *FLOATS]
TEMPORAL = ["DATE", "TIMESTAMP", TZ]


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def values(type_name: str) -> st.SearchStrategy[Any]:
    """Values of a type, its edges often among them; null now and then."""
    of = parse_type(type_name)
    made: st.SearchStrategy[Any]
    if of.is_integer:
        low, high = INTEGER_RANGE[of.name]
        made = st.one_of(st.integers(low, high), st.integers(max(low, -9), min(high, 9)))
    elif of.name == "DECIMAL":
        top = 10**of.width - 1
        small = min(top, 10 ** (of.scale + 1))
        made = st.one_of(st.integers(-top, top), st.integers(-small, small)).map(
            lambda n: Decimal(f"{n}e-{of.scale}")
        )
    elif of.is_float:
        halves = st.integers(-41, 41).map(lambda n: n / 2)
        made = st.one_of(st.floats(width=32 if of.name == "FLOAT" else 64), halves)
    elif of.name == "BOOLEAN":
        made = st.booleans()
    elif of.name == "DATE":
        made = st.dates(date(1890, 1, 1), date(2200, 1, 1))
    elif of.is_temporal:
        moments = st.datetimes(datetime(1890, 1, 1), datetime(2200, 1, 1))
        zone = UTC if type_name == TZ else None
        made = moments.map(lambda t: t.replace(tzinfo=zone))
    elif of.name == "INTERVAL":
        made = st.timedeltas(timedelta(days=-400), timedelta(days=400))
    else:
        made = st.one_of(st.text(max_size=6), st.integers(-300, 300).map(str))
    return st.one_of(made, made, made, made, st.none())


def sql_value(type_name: str, value: Any) -> str:
    if value is None:
        return f"cast(null as {type_name})"
    if type_name == "INTERVAL":
        return f"to_microseconds({value // timedelta(microseconds=1)})"
    text = repr(value) if isinstance(value, float) else str(value)
    if type_name == "VARCHAR" and "\0" in text:
        return " || ".join(
            f"chr(0) || '{part}'" if i else f"'{part}'"
            for i, part in enumerate(text.replace("'", "''").split("\0"))
        )
    return "cast('" + text.replace("'", "''") + f"' as {type_name})"


def outcome(compute: Callable[[], Any], failure: type[Exception]) -> Any:
    """The result in a form whose equality is exact, or the fact that there was none."""
    try:
        result = compute()
    except failure:
        return "fails"
    if isinstance(result, float):
        # DuckDB gives least(null, -0.0) as 0.0; the sign of a zero is no difference here.
        return "nan" if math.isnan(result) else repr(result + 0.0)
    if isinstance(result, datetime) and result.tzinfo is not None:
        return (epoch_us(result), "utc")
    return (type(result).__name__, result)


def agree(
    duck: duckdb.DuckDBPyConnection, tree: list[Any], sql: str, types: list[str], row: list[Any]
) -> None:
    """Both give the same for ``row``; in SQL the columns are {0}, {1}, ..., in the tree c0, c1, ..."""
    columns = {f"c{i}": t for i, t in enumerate(types)}
    # Through a table: DuckDB gives some expressions of constants another type.
    made_of = ", ".join(
        f"{sql_value(t, v)} as c{i}" for i, (t, v) in enumerate(zip(types, row, strict=True))
    )
    text = f"{sql.format(*columns)} as x from (select {made_of} from range(1))"
    made = compile_expression(tree, columns, {})
    named = dict(zip(columns, row, strict=True))
    ours = outcome(lambda: made.evaluate(named, CLOCK, {}), DataError)

    def ask() -> Any:
        found = duck.execute(f"select {text}").fetchone()
        assert found is not None
        return found[0]

    theirs = outcome(ask, duckdb.Error)
    assert ours == theirs, text
    if theirs != "fails":
        described = duck.execute(f"select {text}").description
        assert str(made.type) == str(described[0][1]), text


def column(i: int) -> list[str]:
    return ["column", f"c{i}"]


def check(
    duck: duckdb.DuckDBPyConnection,
    data: st.DataObject,
    tree: list[Any],
    sql: str,
    *choices: list[str],
) -> None:
    types = [data.draw(st.sampled_from(choice)) for choice in choices]
    agree(duck, tree, sql, types, [data.draw(values(t)) for t in types])


EXAMPLES = settings(max_examples=150, deadline=None)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("add", "{0} + {1}"),
        ("sub", "{0} - {1}"),
        ("mul", "{0} * {1}"),
        ("div", "{0} / {1}"),
        ("intdiv", "{0} // {1}"),
        ("mod", "{0} % {1}"),
        ("eq", "{0} = {1}"),
        ("ne", "{0} <> {1}"),
        ("lt", "{0} < {1}"),
        ("le", "{0} <= {1}"),
        ("gt", "{0} > {1}"),
        ("ge", "{0} >= {1}"),
        ("nullif", "nullif({0}, {1})"),
        ("coalesce", "coalesce({0}, {1})"),
        ("least", "least({0}, {1})"),
        ("greatest", "greatest({0}, {1})"),
        ("pow", "pow({0}, {1})"),
    ],
)
@EXAMPLES
@given(data=st.data())
def test_two_numbers(
    duck: duckdb.DuckDBPyConnection, name: str, sql: str, data: st.DataObject
) -> None:
    check(duck, data, [name, column(0), column(1)], sql, NUMBERS, NUMBERS)


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("neg", "-{0}"),
        ("abs", "abs({0})"),
        ("round", "round({0})"),
        ("floor", "floor({0})"),
        ("ceil", "ceil({0})"),
        ("sqrt", "sqrt({0})"),
        ("ln", "ln({0})"),
        ("exp", "exp({0})"),
        ("is_null", "{0} is null"),
        ("not", "not {0}"),
    ],
)
@EXAMPLES
@given(data=st.data())
def test_one_number(
    duck: duckdb.DuckDBPyConnection, name: str, sql: str, data: st.DataObject
) -> None:
    check(duck, data, [name, column(0)], sql, NUMBERS)


@EXAMPLES
@given(data=st.data(), digits=st.integers(-5, 5))
def test_round_to_digits(duck: duckdb.DuckDBPyConnection, data: st.DataObject, digits: int) -> None:
    tree = ["round", column(0), ["literal", digits, "INTEGER"]]
    check(duck, data, tree, f"round({{0}}, {digits})", NUMBERS)


@pytest.mark.parametrize("name", ["and", "or"])
@EXAMPLES
@given(data=st.data())
def test_three_valued_logic(
    duck: duckdb.DuckDBPyConnection, name: str, data: st.DataObject
) -> None:
    tree = [name, column(0), column(1), ["not", column(2)]]
    boolean = ["BOOLEAN"]
    check(duck, data, tree, f"{{0}} {name} {{1}} {name} not {{2}}", boolean, boolean, boolean)


@EXAMPLES
@given(data=st.data())
def test_case(duck: duckdb.DuckDBPyConnection, data: st.DataObject) -> None:
    choices = [["BOOLEAN"], NUMBERS, ["BOOLEAN"], NUMBERS, NUMBERS]
    tree = ["case", *(column(i) for i in range(5))]
    check(duck, data, tree, "case when {0} then {1} when {2} then {3} else {4} end", *choices)
    check(duck, data, tree[:-1], "case when {0} then {1} when {2} then {3} end", *choices[:-1])


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge", "least", "greatest"])
@pytest.mark.parametrize("family", [TEMPORAL, ["INTERVAL"], ["VARCHAR"], ["BOOLEAN"]])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_comparing_other_types(
    duck: duckdb.DuckDBPyConnection, name: str, family: list[str], data: st.DataObject
) -> None:
    signs = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    sql = f"{{0}} {signs[name]} {{1}}" if name in signs else f"{name}({{0}}, {{1}})"
    check(duck, data, [name, column(0), column(1)], sql, family, family)


@pytest.mark.parametrize(
    ("name", "sign", "left", "right"),
    [
        ("sub", "-", TEMPORAL, TEMPORAL),
        ("add", "+", TEMPORAL, ["INTERVAL"]),
        ("add", "+", ["INTERVAL"], TEMPORAL),
        ("sub", "-", TEMPORAL, ["INTERVAL"]),
        ("add", "+", ["INTERVAL"], ["INTERVAL"]),
        ("sub", "-", ["INTERVAL"], ["INTERVAL"]),
    ],
)
@EXAMPLES
@given(data=st.data())
def test_times_and_intervals(
    duck: duckdb.DuckDBPyConnection,
    name: str,
    sign: str,
    left: list[str],
    right: list[str],
    data: st.DataObject,
) -> None:
    check(duck, data, [name, column(0), column(1)], f"{{0}} {sign} {{1}}", left, right)


@EXAMPLES
@given(data=st.data(), n=st.integers(-1000, 1000))
def test_days_and_multiples(duck: duckdb.DuckDBPyConnection, data: st.DataObject, n: int) -> None:
    whole = ["literal", n, "INTEGER"]
    check(duck, data, ["add", column(0), whole], f"{{0}} + ({n})::integer", ["DATE"])
    check(duck, data, ["sub", column(0), whole], f"{{0}} - ({n})::integer", ["DATE"])
    check(duck, data, ["mul", column(0), whole], f"{{0}} * ({n})::integer", ["INTERVAL"])
    check(duck, data, ["neg", column(0)], "-{0}", ["INTERVAL"])


@pytest.mark.parametrize("name", ["epoch", "epoch_us", "epoch_ms"])
@EXAMPLES
@given(data=st.data())
def test_epoch(duck: duckdb.DuckDBPyConnection, name: str, data: st.DataObject) -> None:
    check(duck, data, [name, column(0)], f"{name}({{0}})", [*TEMPORAL, "INTERVAL"])


PARTS = ["year", "quarter", "month", "week", "day", "hour", "minute", "second"]


@pytest.mark.parametrize("part", [*PARTS, "dow", "isodow", "doy"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_extract(duck: duckdb.DuckDBPyConnection, part: str, data: st.DataObject) -> None:
    check(duck, data, ["extract", part, column(0)], f"extract({part} from {{0}})", TEMPORAL)


@pytest.mark.parametrize("part", [*PARTS, "millisecond", "microsecond"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_date_trunc_and_diff(
    duck: duckdb.DuckDBPyConnection, part: str, data: st.DataObject
) -> None:
    check(duck, data, ["date_trunc", part, column(0)], f"date_trunc('{part}', {{0}})", TEMPORAL)
    tree = ["date_diff", part, column(0), column(1)]
    check(duck, data, tree, f"date_diff('{part}', {{0}}, {{1}})", TEMPORAL, TEMPORAL)


@EXAMPLES
@given(data=st.data())
def test_casts(duck: duckdb.DuckDBPyConnection, data: st.DataObject) -> None:
    to = data.draw(st.sampled_from([*NUMBERS, "VARCHAR", "BOOLEAN"]))
    check(duck, data, ["cast", column(0), to], f"cast({{0}} as {to})", [*NUMBERS, "BOOLEAN"])


@EXAMPLES
@given(data=st.data(), to=st.sampled_from([*TEMPORAL, "VARCHAR"]))
def test_casts_of_times(duck: duckdb.DuckDBPyConnection, data: st.DataObject, to: str) -> None:
    check(duck, data, ["cast", column(0), to], f"cast({{0}} as {to})", TEMPORAL)


@EXAMPLES
@given(data=st.data(), to=st.sampled_from([*NUMBERS, *TEMPORAL]))
def test_text_reads_back(duck: duckdb.DuckDBPyConnection, data: st.DataObject, to: str) -> None:
    tree = ["cast", ["cast", column(0), "VARCHAR"], to]
    same = [to] if to in TEMPORAL else [t for t in NUMBERS if t not in FLOATS]
    check(duck, data, tree, f"cast(cast({{0}} as varchar) as {to})", same)


@EXAMPLES
@given(data=st.data())
def test_text(duck: duckdb.DuckDBPyConnection, data: st.DataObject) -> None:
    check(duck, data, ["lower", column(0)], "lower({0})", ["VARCHAR"])
    check(duck, data, ["upper", column(0)], "upper({0})", ["VARCHAR"])
    every = [*NUMBERS, *TEMPORAL, "VARCHAR", "BOOLEAN"]
    check(duck, data, ["concat", column(0), column(1)], "concat({0}, {1})", every, every)


@pytest.mark.parametrize("name", ["lower", "upper"])
def test_case_of_every_character(duck: duckdb.DuckDBPyConnection, name: str) -> None:
    made = compile_expression([name, column(0)], {"c0": "VARCHAR"}, {})
    sql = f"select n, {name}(chr(n::integer)) from range(1, 55296) t(n)"
    differ = {
        chr(n): text
        for n, text in duck.execute(sql).fetchall()
        if made.evaluate({"c0": chr(n)}, CLOCK, {}) != text
    }
    assert differ == {}


def test_leaves() -> None:
    seconds = ["epoch", ["sub", ["clock"], column(0)]]
    made = compile_expression(seconds, {"c0": TZ}, {})
    assert made.evaluate({"c0": CLOCK - timedelta(seconds=1.5)}, CLOCK, {}) == 1.5
    assert made.evaluate({"c0": None}, CLOCK, {}) is None
    ratio = ["div", ["request", "amount"], column(0)]
    made = compile_expression(ratio, {"c0": "BIGINT"}, {"amount": "DOUBLE"})
    assert made.evaluate({"c0": 4}, CLOCK, {"amount": 10.0}) == 2.5
    assert made.columns == frozenset(["c0"])
    assert made.requests == frozenset(["amount"])
    late = ["gt", ["sub", ["clock"], column(0)], ["interval", 60_000_000]]
    made = compile_expression(late, {"c0": TZ}, {})
    assert made.evaluate({"c0": CLOCK - timedelta(seconds=61)}, CLOCK, {}) is True
    assert made.evaluate({"c0": CLOCK - timedelta(seconds=60)}, CLOCK, {}) is False


@pytest.mark.parametrize("value", ["0.5", "-0.5", "0", "0.0001", "-0.9999"])
def test_a_decimal_of_fractions_alone_has_no_digit_before_the_point(
    duck: duckdb.DuckDBPyConnection, value: str
) -> None:
    sql, tree = "cast({0} as varchar)", ["cast", column(0), "VARCHAR"]
    agree(duck, tree, sql, ["DECIMAL(4,4)"], [Decimal(value).quantize(Decimal("0.0001"))])


@pytest.mark.parametrize(
    ("value", "type_name", "expected"),
    [
        ("1.50", "DECIMAL(5,2)", Decimal("1.50")),
        (1.5, "DECIMAL(38,10)", Decimal("1.5")),
        ("2013-07-01", "DATE", date(2013, 7, 1)),
        ("2013-07-01 12:30:15.25+00", TZ, CLOCK),
        (None, '"NULL"', None),
        (None, "INTEGER", None),
        ("x", "VARCHAR", "x"),
        (True, "BOOLEAN", True),
        (2, "DOUBLE", 2.0),
    ],
)
def test_literals(value: Any, type_name: str, expected: Any) -> None:
    made = compile_expression(["literal", value, type_name], {}, {})
    assert made.evaluate({}, CLOCK, {}) == expected


@pytest.mark.parametrize(
    "tree",
    [
        ["ad", column(0), column(0)],
        ["add", column(0)],
        ["add", column(0), ["literal", "x", "VARCHAR"]],
        ["column", "missing"],
        ["request", "missing"],
        ["extract", "century", ["clock"]],
        ["extract", "hour", ["interval", 5]],
        [],
        "clock",
    ],
)
def test_refusals_say_what_to_do(tree: Any) -> None:
    with pytest.raises(CompileError) as caught:
        compile_expression(tree, {"c0": "INTEGER"}, {})
    assert caught.value.hint


def test_operators_are_published() -> None:
    assert {"add", "case", "cast", "date_diff", "epoch"} <= OPERATORS
    assert not OPERATORS & {"column", "clock", "request", "literal", "interval"}
