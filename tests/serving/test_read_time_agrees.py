"""Read-time expressions as authors write them: what the lookup API gives is what DuckDB gives.

The whole way: the text is compiled to a view, DuckDB runs its point-in-time variant, and serving
evaluates the tree that the catalog would hold. Only literals differ from `test_read_time`, and
they are what DuckDB types by what stands beside them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.catalog import Column, Feature
from feature_specs.compile import CompiledView
from feature_specs.compile.read_time.operators import LEAVES, OPERATORS, PARTS
from feature_specs.errors import CompileError, DataError
from feature_specs.sql_types import INTEGER_RANGE
from serving.read_time import OPERATORS as EVALUATED
from serving.read_time import PARTS as PARTS_EVALUATED
from serving.read_time import ReadTime, compile_expression, compile_feature
from serving.read_time.casts import MISWRITTEN
from serving.read_time.typed import UnreadError
from tests.serving.project import make_view
from tests.serving.test_read_time import outcome, sql_value, values

pytestmark = pytest.mark.many_cases

CLOCK = datetime(2024, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
TZ = "TIMESTAMP WITH TIME ZONE"
SIGNED = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"]
UNSIGNED = ["UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"]
EXACT = ["DECIMAL(5,2)", "DECIMAL(10,2)", "DECIMAL(18,3)", "DECIMAL(38,2)", "DECIMAL(38,10)"]
NUMBERS = [*SIGNED, *UNSIGNED, *EXACT, "FLOAT", "DOUBLE"]
LITERALS = [
    "0", "1", "2", "-1", "- (3)", "100", "127", "128", "-128", "-129", "255", "256", "40000",
    "2147483647", "2147483648", "-2147483648", "9223372036854775807", "9223372036854775808",
    "0.1", "0.2", "0.3", "1.1", "-0.5", "2.50", "100.25", "0.0", "00.10", "0.123456789012",
    "12345678901234567890.5", "1e0", "2.5e-1", "1e3", "null",
]  # fmt: skip

LEAF = Leaf("e", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER", "d": "DECIMAL(10,2)"}, event_time="ts")


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(
            "create table e as select 'a' as k, timestamptz '2024-01-01 12:00:00' as ts,"
            " 7 as x, 0.20::decimal(10,2) as d"
        )
        yield connection


def view_of(expression: str) -> CompiledView:
    view = FeatureView("v", f"select k, {expression} as r from e group by k", ["k"])
    return compile_view(view, [LEAF])


def asked(name: str, kind: str) -> str:
    return f"request('{name}', '{kind}')"


def offline(
    duck: duckdb.DuckDBPyConnection, view: CompiledView, sent: Mapping[str, Any]
) -> tuple[Any, str]:
    kinds = {r.name: r.type for r in view.requests}
    columns = "".join(f", {sql_value(kinds[n], sent[n])} as {n}" for n in kinds)
    duck.execute(
        f"create or replace table spine as select 'a' as k, timestamptz '{CLOCK}' as ts{columns}"
    )
    last: list[Any] = []

    def ask() -> Any:
        found = duck.execute(view.point_in_time())
        last.append(str(found.description[-1][1]).strip('"'))
        row = found.fetchone()
        assert row is not None
        return row[-1]

    # A query that DuckDB cannot bind never becomes a feature.
    try:
        made = outcome(ask, duckdb.Error)
        if made == "fails":
            duck.execute(f"prepare q as {view.point_in_time()}")
    except duckdb.Error:
        made = "never binds"
    return made, last[0] if last else ""


def online(view: CompiledView, sent: Mapping[str, Any]) -> tuple[Any, str]:
    """As serving has it: the tree from JSON, the stored values from the stored query."""
    tree = json.loads(json.dumps(view.features[-1].tree))
    columns = {
        "x_sum": "HUGEINT",
        "d_sum": "DECIMAL(38,2)",
        "last": TZ,
    }
    stored = {"x_sum": 7, "d_sum": Decimal("0.20"), "last": datetime(2024, 1, 1, 12, tzinfo=UTC)}
    named = {i.alias: i.unalias().sql("duckdb") for i in view.draft.stored.selects}
    by_sql = {'SUM("e"."x")': "x_sum", 'SUM("e"."d")': "d_sum", 'MAX("e"."ts")': "last"}
    known = {n: by_sql[s] for n, s in named.items() if s in by_sql}
    made = compile_expression(
        tree, {n: columns[c] for n, c in known.items()}, {r.name: r.type for r in view.requests}
    )
    row = {n: stored[c] for n, c in known.items()}
    return outcome(lambda: made.evaluate(row, CLOCK, sent), DataError), str(made.type)


def agree(duck: duckdb.DuckDBPyConnection, expression: str, **sent: Any) -> Any:
    view = view_of(expression)
    theirs, kind = offline(duck, view, sent)
    ours, type_name = online(view, sent)
    assert ours == theirs, (expression, sent, view.features[-1].tree)
    if theirs != "fails":
        assert type_name == kind, (expression, view.features[-1].tree)
    return theirs


@pytest.mark.parametrize(
    ("expression", "sent", "expected"),
    [
        ("request('a','decimal(10,2)') + 0.1 = 0.3", {"a": Decimal("0.20")}, True),
        ("request('b','float') > 0.2", {"b": 0.20000000298023224}, False),
        ("request('b','float') = 0.2", {"b": 0.20000000298023224}, True),
        ("case when now() > max(ts) then sum(d) end * 1.1 = 0.22", {}, True),
        ("case when now() > max(ts) then sum(x) end > 0.5", {}, True),
        ("request('a','tinyint') + 1", {"a": 127}, "fails"),
        ("request('a','tinyint') + 1", {"a": 126}, ("int", 127)),
        ("request('a','tinyint') + 128", {"a": 127}, ("int", 255)),
        ("request('a','utinyint') - 1", {"a": 0}, "fails"),
        ("request('a','utinyint') + -1", {"a": 0}, ("int", -1)),
        ("request('a','integer') * 2", {"a": 2**30}, "fails"),
        ("request('a','integer') / 2", {"a": 3}, "1.5"),
        ("try_cast(request('s','varchar') as integer)", {"s": "x"}, ("NoneType", None)),
        ("try_cast(request('s','varchar') as integer) + 1", {"s": "41"}, ("int", 42)),
        ("cast(request('s','varchar') as integer)", {"s": "x"}, "fails"),
        ("try_cast(request('a','bigint') as tinyint)", {"a": 128}, ("NoneType", None)),
        ("now() > '2024-01-01'", {}, ("bool", True)),
        ("now() > '2024-01-02 03:04:05.678901+00'", {}, ("bool", False)),
        ("greatest(now(), '2030-01-01')", {}, None),
        ("round(request('x','double'), request('n','integer'))", {"x": 1.256, "n": 2}, "1.26"),
        ("request('x','float') between 0.2 and 1e0", {"x": 0.20000000298023224}, None),
        ("case when now() > max(ts) then 1 else 0.5 end", {}, None),
    ],
)
def test_examples(
    duck: duckdb.DuckDBPyConnection, expression: str, sent: dict[str, Any], expected: Any
) -> None:
    made = agree(duck, expression, **sent)
    if expected is not None:
        assert made in (expected, ("bool", expected))


EXAMPLES = settings(max_examples=80, deadline=None)
OPERANDS = st.one_of(st.sampled_from(LITERALS), st.sampled_from(["a", "b"]))
FORMS = [
    "{} + {}", "{} - {}", "{} * {}", "{} / {}", "{} // {}", "{} % {}", "{} = {}", "{} <> {}",
    "{} < {}", "{} <= {}", "{} > {}", "{} >= {}", "coalesce({}, {}, {})", "nullif({}, {})",
    "least({}, {}, {})", "greatest({}, {})", "{} between {} and {}",
    "case when {} > {} then {} when {} > 0 then {} else {} end", "case when {} = {} then {} end",
    "case when now() > max(ts) then sum(d) end * {}", "case when now() > max(ts) then sum(x) end + {}",
    "case when now() > max(ts) then sum(x) end < {}", "case when now() > max(ts) then sum(d) end = {}",
    "abs({})", "floor({})", "-({})", "round({})", "if({} > 0, {}, {})",
]  # fmt: skip


def filled(data: st.DataObject, depth: int) -> str:
    form = data.draw(st.sampled_from(FORMS))
    parts = []
    for _ in range(form.count("{}")):
        deeper = depth > 1 and data.draw(st.integers(0, 3)) == 0
        parts.append(f"({filled(data, depth - 1)})" if deeper else data.draw(OPERANDS))
    return form.format(*parts)


@pytest.mark.parametrize("depth", [1, 1, 2])
@EXAMPLES
@given(data=st.data())
def test_numbers(duck: duckdb.DuckDBPyConnection, depth: int, data: st.DataObject) -> None:
    kinds = {n: data.draw(st.sampled_from(NUMBERS)) for n in "ab"}
    text = filled(data, depth)
    sent = {n: data.draw(values(kind)) for n, kind in kinds.items()}
    for name, kind in kinds.items():
        text = text.replace(f"{{{name}}}", name)
        words = [asked(name, kind) if w == name else w for w in _words(text)]
        text = "".join(words)
    assume("request" in text or "now" in text)
    try:
        view = view_of(text)
    except CompileError:
        # DuckDB describes a view when it is compiled; what it cannot bind is refused there.
        plain = re.sub(r"request\('\w+', ?'([^']+)'\)", r"cast(null as \1)", text)
        with pytest.raises(duckdb.Error):
            duck.execute(f"prepare q as select {plain} as r from e group by k")
        return
    theirs, kind = offline(duck, view, sent)
    try:
        ours, type_name = online(view, sent)
    except CompileError as refused:
        # What cannot be read online is refused when the project is compiled.
        by_design = ("no common type", "more than 38 digits after the point")
        assert theirs == "never binds" or any(r in refused.what for r in by_design), refused
        return
    if theirs == "never binds":
        return
    assert ours == theirs, (text, sent, view.features[-1].tree)
    if theirs not in ("fails", ("NoneType", None)):
        assert type_name == kind, (text, view.features[-1].tree)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["a + {}", "{} + a", "a - {}", "{} - a", "a * {}", "(a + 1) * {}"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_sum_that_is_compared(
    duck: duckdb.DuckDBPyConnection, form: str, data: st.DataObject
) -> None:
    """DuckDB moves constants to the other side of a comparison, where they cannot overflow."""
    kind = data.draw(st.sampled_from(["TINYINT", "UTINYINT", "INTEGER"]))
    low, high = INTEGER_RANGE[kind]
    near = st.one_of(st.integers(low, low + 3), st.integers(high - 3, high), st.integers(-5, 5))
    sign = data.draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
    value = min(max(data.draw(near), low), high)
    text = f"({form.format(data.draw(near))}) {sign} {data.draw(near)}"
    agree(duck, text.replace("a", asked("a", kind)), a=value)


NUMBER_TEXTS = st.one_of(
    st.text(alphabet="0123456789..eE+-_ \t\nxXbainf", max_size=7),
    st.from_regex(
        r"[ ]?[+-]?[0-9_]{1,4}(\.[0-9_]{0,3})?([eE][+-]?[0-9]{1,2})?[ ]?", fullmatch=True
    ),
    st.sampled_from(["inf", "-Infinity", "NaN", "true", "T", "no", "y", "off", " t", "", "1e400"]),
)
MOMENT_TEXTS = st.one_of(
    st.from_regex(
        r"20[0-2][0-9]-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{1,6})?(Z|[+-][01][0-9](:[0-5][0-9])?)?)?",
        fullmatch=True,
    ),
    st.text(alphabet="0123456789-: TZ+./infepoch", max_size=12),
)


@pytest.mark.parametrize("cast", ["cast", "try_cast"])
@pytest.mark.parametrize(
    ("kinds", "texts"),
    [
        (["INTEGER", "UTINYINT", "DECIMAL(9,2)", "DOUBLE", "FLOAT", "BOOLEAN"], NUMBER_TEXTS),
        (["DATE", "TIMESTAMP", TZ], MOMENT_TEXTS),
    ],
)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_reading_a_text(
    duck: duckdb.DuckDBPyConnection,
    cast: str,
    kinds: list[str],
    texts: st.SearchStrategy[str],
    data: st.DataObject,
) -> None:
    """A text is read as DuckDB reads it, or said to be unread; never null where DuckDB reads it."""
    kind, text = data.draw(st.sampled_from(kinds)), data.draw(texts)
    made = compile_expression([cast, ["request", "s"], kind], {}, {"s": "VARCHAR"})
    try:
        ours = outcome(lambda: _known(made, text), DataError)
    except _UnknownError:
        return

    def ask() -> Any:
        sql = f"select {cast}(s as {kind}) from (select ?::varchar as s from range(1))"
        found = duck.execute(sql, [text]).fetchone()
        assert found is not None
        return found[0]

    assert ours == outcome(ask, duckdb.Error), (text, kind)


class _UnknownError(Exception):
    pass


def _known(made: ReadTime, text: str) -> Any:
    try:
        return made.evaluate({}, CLOCK, {"s": text})
    except UnreadError as unread:
        raise _UnknownError from unread


def test_a_text_that_only_duckdb_reads_is_no_null() -> None:
    for text, kind in [("1e3", "INTEGER"), ("0x1F", "BIGINT"), ("2024-1-1", "DATE")]:
        made = compile_expression(["try_cast", ["request", "s"], kind], {}, {"s": "VARCHAR"})
        with pytest.raises(DataError, match="is not read as"):
            made.evaluate({}, CLOCK, {"s": text})


def test_doubles_that_duckdb_writes_as_other_numbers_have_no_text(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    """Only the powers of two are written by a way of their own; three of them wrongly."""
    powers = [math.ldexp(sign, e) for e in range(-1074, 1024) for sign in (1.0, -1.0)]
    asked = "select x, x::varchar from (select unnest(?::double[]) as x)"
    found = duck.execute(asked, [powers]).fetchall()
    wrong = {abs(x) for x, text in found if "A" in text or float(text) != x}
    assert wrong == set(MISWRITTEN)
    for expression in ("cast", "try_cast"):
        made = compile_expression([expression, ["request", "x"], "VARCHAR"], {}, {"x": "DOUBLE"})
        for value in (2.0**81, -(2.0**91), 2.0**807):
            with pytest.raises(DataError, match="as the text of another number"):
                made.evaluate({}, CLOCK, {"x": value})
        assert made.evaluate({}, CLOCK, {"x": 2.0**80}) == "1.2089258196146292e+24"


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("now() > 'yesterday'", "cannot read 'yesterday' as TIMESTAMP"),
        ("now() > '2024-1-1'", "'2024-1-1' is not read as TIMESTAMP"),
        ("now() - max(ts) > '1 day'", "text to INTERVAL"),
    ],
)
def test_what_types_rule_out_is_refused_when_the_catalog_is_made(
    expression: str, word: str
) -> None:
    view = view_of(expression)
    columns = tuple(Column(i.alias, "DECIMAL(38,2)") for i in view.draft.stored.selects[1:])
    if "max(ts)" in expression:
        columns = tuple(Column(c.name, TZ) for c in columns)
    feature = Feature("r", "BOOLEAN", "", view.features[-1].tree)
    entry = make_view("v", stored=columns, features=(feature,), requests=view.requests)
    with pytest.raises(CompileError, match=re.escape(word)) as caught:
        compile_feature(entry, feature)
    assert "'r'" in caught.value.what
    assert caught.value.where == "models/v.sql"


def test_the_digits_to_which_a_decimal_is_rounded_are_constant() -> None:
    with pytest.raises(CompileError, match='"precision" argument'):
        view_of("round(sum(d), request('n','integer'))")


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("date_diff('century', max(ts), now())", "week"),
        ("date_trunc('decade', now())", "week"),
        ("extract(century from now())", "week"),
        ("epoch_ns(now())", "epoch"),
        ("request('x','integer') + 1" + "0" * 40, "38 digits"),
        ("request('x','double') + 1e999", "38 digits"),
    ],
)
def test_what_no_tree_holds_is_refused_when_the_view_is_compiled(
    expression: str, word: str
) -> None:
    with pytest.raises(CompileError) as caught:
        view_of(expression)
    assert "cannot be evaluated when a vector is read" in caught.value.what
    assert word in caught.value.hint


def test_serving_evaluates_whatever_a_tree_may_hold() -> None:
    assert OPERATORS <= EVALUATED
    assert PARTS.keys() == PARTS_EVALUATED.keys()
    for name, parts in PARTS.items():
        assert parts <= PARTS_EVALUATED[name]
    for leaf in LEAVES:
        assert leaf not in EVALUATED


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("1", 1, "INTEGER"),
        ("- (-(5))", 5, "INTEGER"),
        ("-2147483648", -(2**31), "INTEGER"),
        ("2147483648", 2**31, "BIGINT"),
        ("9223372036854775808", 2**63, "HUGEINT"),
        ("0.1", "0.1", "DECIMAL(2,1)"),
        ("-00.10", "-00.10", "DECIMAL(4,2)"),
        ("1e3", 1000.0, "DOUBLE"),
        ("1." + "0" * 37, "1." + "0" * 37, "DECIMAL(38,37)"),
        ("1." + "0" * 38, 1.0, "DOUBLE"),
    ],
)
def test_a_number_has_the_type_that_duckdb_gives_it(
    duck: duckdb.DuckDBPyConnection, text: str, value: Any, kind: str
) -> None:
    view = view_of(f"request('x','double') > {text}")
    assert view.features[-1].tree == ["gt", ["request", "x"], ["literal", value, kind]]
    found = duck.execute(f"select typeof({text})").fetchone()
    assert found == (kind,)


def test_a_request_without_a_stored_column_is_asked_for() -> None:
    assert [r.name for r in view_of("request('x','integer') + 1").requests] == ["x"]


@EXAMPLES
@given(data=st.data())
def test_weeks(duck: duckdb.DuckDBPyConnection, data: st.DataObject) -> None:
    kinds = [data.draw(st.sampled_from(["DATE", "TIMESTAMP", TZ])) for _ in "ab"]
    sent = {n: data.draw(values(kind)) for n, kind in zip("ab", kinds, strict=True)}
    moments = [asked(n, kind) for n, kind in zip("ab", kinds, strict=True)]
    agree(duck, f"date_diff('week', {moments[0]}, {moments[1]})", **sent)


def _words(text: str) -> list[str]:
    return re.split(r"(\b\w+\b)", text)
