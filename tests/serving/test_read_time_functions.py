"""Functions of read-time expressions: what the lookup API gives is what DuckDB gives.

The whole way, as in `test_read_time_agrees`: from the author's text to the value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_specs.compile.read_time.zone_offsets import zone_offsets
from feature_specs.errors import CompileError, DataError
from serving.read_time import compile_expression
from serving.read_time.patterns import matches
from tests.serving.test_read_time import sql_value
from tests.serving.test_read_time_agrees import CLOCK, agree, asked, duck, view_of

pytestmark = pytest.mark.many_cases

TZ = "TIMESTAMP WITH TIME ZONE"
EXAMPLES = settings(max_examples=2, deadline=None)

__all__ = ["duck"]  # a fixture

ANGLES = st.one_of(
    st.floats(-7, 7),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.pi, 710.5, -710.5, 1e308, math.inf, -math.inf]),
    st.none(),
)
OF_ONE = [
    "sin", "cos", "tan", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh",
    "atanh", "radians", "degrees", "cbrt", "sqrt", "ln", "exp", "log", "log10", "log2", "sign",
    "trunc", "isnan", "isinf", "isfinite",
]  # fmt: skip


Row = dict[str, Any]


def agree_on(
    duck: duckdb.DuckDBPyConnection, expression: str, kinds: Mapping[str, str], rows: list[Row]
) -> None:
    """Many rows at once, of an expression that fails on none of them."""
    view = view_of(expression)
    names = list(kinds)
    listed = ", ".join(
        f"({i}, {', '.join(sql_value(kinds[n], row[n]) for n in names)})"
        for i, row in enumerate(rows)
    )
    duck.execute(
        f"create or replace table spine as select 'a' as k, timestamptz '{CLOCK}' as ts, * "
        f"from (values {listed}) as t(i, {', '.join(names)})"
    )
    found = duck.execute(f"select i, r from ({view.point_in_time()}) order by i")
    kind = str(found.description[-1][1]).strip('"')
    theirs = [row[1] for row in found.fetchall()]
    made = compile_expression(json.loads(json.dumps(view.features[-1].tree)), {}, kinds)
    ours = [made.evaluate({}, CLOCK, row) for row in rows]
    assert str(made.type) == kind
    for row, mine, duckdbs in zip(rows, ours, theirs, strict=True):
        assert _same(mine, duckdbs), (expression, row, mine, duckdbs)


def _same(ours: Any, theirs: Any) -> bool:
    """Floats to the last bits: DuckDB and Python may use two libraries of mathematics."""
    if isinstance(ours, float) and isinstance(theirs, float):
        if math.isnan(ours) or math.isnan(theirs):
            return math.isnan(ours) and math.isnan(theirs)
        return math.isclose(ours, theirs, rel_tol=1e-14) and (
            ours != 0 or math.copysign(1, ours) == math.copysign(1, theirs)
        )
    return type(ours) is type(theirs) and bool(ours == theirs)


def rows_of(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.fixed_dictionaries(values), min_size=25, max_size=40)


@EXAMPLES
@given(rows=rows_of(x=ANGLES))
def test_functions_of_a_double(duck: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    for name in OF_ONE:
        agree_on(duck, f"{name}({asked('x', 'double')})", {"x": "DOUBLE"}, rows)


@EXAMPLES
@given(rows=rows_of(x=ANGLES, y=ANGLES))
def test_functions_of_two_doubles(duck: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    for name in ("atan2", "log", "pow"):
        text = f"{name}({asked('x', 'double')}, {asked('y', 'double')})"
        agree_on(duck, text, {"x": "DOUBLE", "y": "DOUBLE"}, rows)


@pytest.mark.parametrize(
    "kind", ["TINYINT", "UBIGINT", "HUGEINT", "DECIMAL(5,2)", "DECIMAL(38,10)", "FLOAT"]
)
@pytest.mark.parametrize("name", ["trunc", "sign", "isnan"])
def test_truncation_and_sign_by_type(duck: duckdb.DuckDBPyConnection, name: str, kind: str) -> None:
    for value in ("0", "7", "1"):
        agree(duck, f"{name}(cast('{value}' as {kind}) + 0 * {asked('x', kind)})", x=None)
        agree(duck, f"{name}({asked('x', kind)})", x=_number(kind, value))


def _number(kind: str, text: str) -> Any:
    if kind.startswith("DECIMAL"):
        return Decimal(text)
    return float(text) if kind == "FLOAT" else int(text)


def test_the_great_circle_between_two_places(duck: duckdb.DuckDBPyConnection) -> None:
    a, b, c, d = (asked(n, "double") for n in ("lat", "lon", "lat2", "lon2"))
    text = (
        f"2 * 6371 * asin(sqrt(pow(sin(radians({a} - {c}) / 2), 2) + cos(radians({c}))"
        f" * cos(radians({a})) * pow(sin(radians({b} - {d}) / 2), 2)))"
    )
    berlin = {"lat": 52.52, "lon": 13.405, "lat2": 48.8566, "lon2": 2.3522}
    agree_on(duck, text, dict.fromkeys(berlin, "DOUBLE"), [berlin, berlin | {"lat": None}])
    tree = view_of(text).features[-1].tree
    made = compile_expression(tree or [], {}, dict.fromkeys(berlin, "DOUBLE"))
    assert made.evaluate({}, CLOCK, berlin) == pytest.approx(877.46, abs=0.01)


CHARS = "aAbß éİ\u00a0\t%_'🤦\u0301"
TEXTS = st.one_of(st.text(CHARS, max_size=6), st.none())
COUNTS = st.one_of(st.integers(-8, 8), st.none())


TEXT_FORMS = [
    "length({s})", "strlen({s})", "trim({s})", "ltrim({s})", "rtrim({s})", "trim({s}, {t})",
    "ltrim({s}, {t})", "rtrim({s}, {t})", "{s} || {t}", "{s} || 1", "1.50 || {s}",
    "concat({s}, {t}, 1)", "contains({s}, {t})", "starts_with({s}, {t})", "ends_with({s}, {t})",
    "prefix({s}, {t})", "suffix({s}, {t})", "strpos({s}, {t})", "position({t} in {s})",
    "replace({s}, {t}, 'x')", "lower({s}) like lower({t})", "{s} like {t}", "{s} not like {t}",
    "{s} ilike {t}", "{s} like '%a_'", "left({s}, {n})", "right({s}, {n})", "substring({s}, {n})",
    "substr({s}, {n}, {m})", "{s} in ('a', 'A', {t})", "{s} not in ('a', 'A')",
    "{s} is distinct from {t}", "{s} is not distinct from {t}",
]  # fmt: skip


@EXAMPLES
@given(rows=rows_of(s=TEXTS, t=TEXTS, n=COUNTS, m=COUNTS))
def test_text(duck: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    kinds = {"s": "VARCHAR", "t": "VARCHAR", "n": "INTEGER", "m": "INTEGER"}
    for form in TEXT_FORMS:
        used = {n: kind for n, kind in kinds.items() if f"{{{n}}}" in form}
        agree_on(duck, form.format(**{n: asked(n, kind) for n, kind in used.items()}), used, rows)


@given(st.text("ab%_", max_size=8), st.text("ab%_", max_size=8))
def test_a_pattern_matches_as_a_regular_expression_would(text: str, pattern: str) -> None:
    translated = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern)
    assert matches(text, pattern) == bool(re.fullmatch(translated, text, re.DOTALL))


@pytest.mark.parametrize(
    ("expression", "sent"),
    [
        ("request('a','integer') in (1, 2.5, null)", {"a": 1}),
        ("request('a','integer') in (1, 2.5, null)", {"a": 3}),
        ("request('a','integer') in (1, 2.5)", {"a": None}),
        ("request('a','tinyint') in (300, 1)", {"a": 1}),
        ("request('a','float') in (0.1)", {"a": 0.10000000149011612}),
        ("request('a','varchar') in ('b')", {"a": "b"}),
        ("request('a','double') in (1, 'nan')", {"a": math.nan}),
        ("request('a','boolean') is true", {"a": None}),
        ("request('a','boolean') is not false", {"a": False}),
        ("request('a','integer') is true", {"a": 7}),
        ("request('a','double') is distinct from sum(x)", {"a": 7.0}),
        ("request('a','double') is distinct from null", {"a": None}),
        ("make_date(2024, 2, request('a','integer'))", {"a": 29}),
        ("make_date(2024, 2, request('a','integer'))", {"a": 30}),
        ("make_date(2024, 2, request('a','integer'))", {"a": None}),
        ("to_timestamp(request('a','bigint'))", {"a": 1_700_000_000}),
        ("to_timestamp(request('a','double'))", {"a": -1.0000005}),
        ("to_timestamp(request('a','double'))", {"a": math.nan}),
        ("to_timestamp(request('a','double'))", {"a": 1e15}),
        ("pi() * request('a','integer')", {"a": 2}),
    ],
)
def test_examples(duck: duckdb.DuckDBPyConnection, expression: str, sent: dict[str, Any]) -> None:
    agree(duck, expression, **sent)


DAYS = st.sampled_from([1, 2, 27, 28, 29, 30, 31])


@st.composite
def moments(draw: st.DrawFn) -> datetime | None:
    """Instants about the ends of months, days and milliseconds."""
    year = draw(st.sampled_from([1968, 1969, 1970, 1999, 2000, 2023, 2024]))
    day = timedelta(days=draw(DAYS) - 1)
    small = timedelta(
        hours=draw(st.integers(0, 23)),
        microseconds=draw(st.sampled_from([0, 1, 999, 1000, 678_901])),
    )
    first = datetime(year, draw(st.integers(1, 12)), 1)
    return draw(st.sampled_from([first + day, first + day + small, first + small, None]))


MOMENT_TYPES = ["DATE", "TIMESTAMP", TZ]


def of_type(kind: str, moment: datetime | None) -> Any:
    if moment is None:
        return None
    if kind == "DATE":
        return moment.date()
    return moment.replace(tzinfo=UTC) if kind == TZ else moment


UNITS = [
    "year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond",
    "microsecond",
]  # fmt: skip


@pytest.mark.parametrize("kind", MOMENT_TYPES)
@EXAMPLES
@given(rows=rows_of(a=moments(), b=moments()))
def test_whole_units_between_two_instants(
    duck: duckdb.DuckDBPyConnection, kind: str, rows: list[Row]
) -> None:
    for unit in UNITS:
        both(duck, kind, f"date_sub('{unit}', {{a}}, {{b}})", rows)


def both(duck: duckdb.DuckDBPyConnection, kind: str, form: str, rows: list[Row]) -> None:
    names = [n for n in "ab" if f"{{{n}}}" in form]
    sent = [{n: of_type(kind, row[n]) for n in names} for row in rows]
    text = form.format(**{n: asked(n, kind) for n in names})
    agree_on(duck, text, dict.fromkeys(names, kind), sent)


@pytest.mark.parametrize("kind", MOMENT_TYPES)
@EXAMPLES
@given(rows=rows_of(a=moments(), b=moments()))
def test_parts_of_an_age(duck: duckdb.DuckDBPyConnection, kind: str, rows: list[Row]) -> None:
    for part in ("year", "month", "day", "hour", "minute", "second"):
        both(duck, kind, f"date_part('{part}', age({{a}}, {{b}}))", rows)
        both(duck, kind, f"{part}(age({{a}}, {{b}}))", rows)


@pytest.mark.parametrize("kind", ["TIMESTAMP", TZ])
@EXAMPLES
@given(rows=rows_of(a=moments(), b=moments()))
def test_parts_of_a_difference(duck: duckdb.DuckDBPyConnection, kind: str, rows: list[Row]) -> None:
    for part in ("day", "hour", "minute", "second", "ms", "microseconds", "epoch"):
        both(duck, kind, f"date_part('{part}', {{a}} - {{b}})", rows)


FORMATS = "%a %A %w %u %d %-d %b %B %m %-m %y %-y %Y %H %-H %I %-I %p %M %-M %S %-S %f %g %j %-j %U %W %V %%é"


MOMENT_FORMS = [
    f"strftime({{}}, '{FORMATS}')", "dayname({})", "monthname({})", "last_day({})", "week({})",
    "weekday({})", "isoyear({})", "yearweek({})", "isodow({})", "dayofmonth({})",
    "date_part('hours', {})", "date_part('ms', {})", "extract(microseconds from {})",
    "{} - interval 1 month", "{} + interval '2 years'", "{} + to_months(-13)",
    "date_part('epoch', {})",
]  # fmt: skip


@pytest.mark.parametrize("kind", MOMENT_TYPES)
@EXAMPLES
@given(rows=rows_of(a=moments()))
def test_parts_of_an_instant(duck: duckdb.DuckDBPyConnection, kind: str, rows: list[Row]) -> None:
    for form in MOMENT_FORMS:
        both(duck, kind, form.replace("{}", "{a}"), rows)


@pytest.mark.parametrize(
    "zone",
    ["America/New_York", "Asia/Kolkata", "Africa/Casablanca", "Pacific/Apia", "UTC", "EST5EDT"],
)
@EXAMPLES
@given(
    rows=rows_of(
        a=st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))
    )
)
def test_wall_clocks(duck: duckdb.DuckDBPyConnection, zone: str, rows: list[Row]) -> None:
    # The microseconds about each change, too.
    changes = [datetime.fromtimestamp(change[0], UTC) for change in zone_offsets(zone)[1:-1]]
    rows += [{"a": c + timedelta(microseconds=n)} for c in changes for n in (-1, 0)]
    agree_on(duck, f"{asked('a', TZ)} at time zone '{zone}'", {"a": TZ}, rows)


def test_the_hour_at_the_caller_and_now(duck: duckdb.DuckDBPyConnection) -> None:
    assert agree(duck, "hour(now() at time zone 'Asia/Kolkata')") == ("int", 8)
    assert agree(duck, "date_part('day', now() - max(ts))") == ("int", 0)
    assert agree(duck, "date_part('hour', now() - max(ts))") == ("int", 15)


def test_no_offset_is_known_before_1970() -> None:
    tree = view_of(f"{asked('a', TZ)} at time zone 'Europe/Berlin'").features[-1].tree
    made = compile_expression(tree or [], {}, {"a": TZ})
    with pytest.raises(DataError, match="no offset of the time zone is known at 1969"):
        made.evaluate({}, datetime.now(UTC), {"a": datetime(1969, 12, 31, tzinfo=UTC)})


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("gamma(request('lat','double') - sum(x))", "gamma(request('lat', 'double') - sum(x))"),
        ("md5(request('s','varchar'))", "md5(request('s', 'text'))"),
        ("age(now(), max(ts))", "max"),
    ],
)
def test_a_refusal_says_it_in_the_author_s_words(expression: str, shown: str) -> None:
    with pytest.raises(CompileError) as caught:
        view_of(expression)
    said = caught.value.what.lower().replace('"e".', "").replace('"', "")
    assert shown in said
    assert "getvariable" not in said
    assert "__part" not in said


@pytest.mark.parametrize(
    ("expression", "sent", "word"),
    [
        ("strftime(now(), '%Z')", {}, "%Z in the format"),
        ("date_part('year', now() - now())", {}, "year of a difference"),
        ("date_part('hour', to_hours(25) + (now() - now()))", {}, "not a difference of two"),
        ("cast(now() as timestamp) at time zone 'UTC'", {}, "at time zone"),
    ],
)
def test_what_types_rule_out_is_refused(expression: str, sent: dict[str, str], word: str) -> None:
    tree = view_of(expression).features[-1].tree
    with pytest.raises(CompileError, match=re.escape(word)):
        compile_expression(tree or [], {}, sent)


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("age(now()::timestamp, max(ts))", "take a part of it, as in extract(year from age(a, b))"),
        ("epoch(age(now(), max(ts)))", "write epoch(a - b) for seconds"),
        ("dayofweek(age(now(), max(ts)))", "a part of an age must be one of day, hour"),
    ],
)
def test_what_to_write_instead_of_an_age(expression: str, hint: str) -> None:
    with pytest.raises(CompileError) as caught:
        view_of(expression)
    assert hint in caught.value.hint


def test_a_zone_that_duckdb_does_not_know_is_refused() -> None:
    with pytest.raises(CompileError, match="cannot be evaluated") as caught:
        view_of("now() at time zone 'Mars/Olympus'")
    assert "Mars/Olympus" in caught.value.hint
