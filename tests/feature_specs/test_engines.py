"""Trino and Spark: every case is written so that it parses there, or is refused by name.

engine_differential.py runs the same cases on the engines themselves.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import sqlglot
from sqlglot import exp

from feature_specs.compile import compile_view
from feature_specs.compile.engines import (
    Engine,
    window_refusal,
    write_for_engine,
    write_steps_for_engine,
)
from feature_specs.compile.engines.map.map_aggregates import AGGREGATES
from feature_specs.compile.engines.map.map_functions import SCALARS
from feature_specs.compile.engines.map.window_calls import PLACED
from feature_specs.errors import CompileError
from feature_specs.view import FeatureView
from tests.feature_specs.engine_differential import (
    EngineCase,
    cases,
)
from tests.feature_specs.engine_probes import COLUMNS, NAN_COLUMNS, nan_statements, probe_statements
from tests.feature_specs.worlds import EVENTS

pytestmark = pytest.mark.many_cases

OTHERS: tuple[Engine, ...] = ("trino", "spark")
_TEXT_AND_JSON = "weighted means, quantifiers, and functions of text and JSON"
#: (case, statement) to the engines that refuse it, and why in a few words.
REFUSED = {
    ("agree: distinct over a window", "chosen"): (OTHERS, "count of distinct values over a frame"),
    ("algebra: sessions", "chosen"): (OTHERS, "count of distinct values over a frame"),
    ("algebra: ages as intervals and as seconds", "as-of"): (("trino",), "microseconds it drops"),
    ("algebra: constants beside what a LIMIT keeps", "chosen"): (OTHERS, "LIMIT in FROM"),
    ("algebra: lists over row-count windows", "chosen"): (OTHERS, "over a frame"),
    ("algebra: lists over row-count windows", "as-of"): (OTHERS, "over a frame"),
    ("algebra: lists that are sorted in the end", "chosen"): (OTHERS, "array_sort"),
    ("algebra: lists that are sorted in the end", "as-of"): (OTHERS, "array_sort"),
    ("algebra: lists whose order does not matter", "chosen"): (OTHERS, "array_max"),
    ("algebra: lists whose order does not matter", "as-of"): (OTHERS, "array_max"),
    ("algebra: a lag that looks ahead, by a number and by a column", "chosen"): (
        OTHERS,
        "one number",
    ),
    ("algebra: a lag that looks ahead, by a number and by a column", "as-of"): (
        OTHERS,
        "one number",
    ),
    (f"algebra: {_TEXT_AND_JSON}", "chosen"): (OTHERS, "octet_length"),
    (f"algebra: {_TEXT_AND_JSON}", "as-of"): (OTHERS, "octet_length"),
}
#: May be too large as one statement, where every reader of a common table expression has its own copy;
#: all are run in steps.
_NESTED = (
    "agree: a CTE read twice", "algebra: scalar subqueries", "algebra: a scalar subquery in WHERE",
    "algebra: an aggregate of an aggregate", "algebra: a share of the whole",
    "algebra: a bucket by the clock", "algebra: one table under two models",
    "algebra: windows over groups, partitioned by aggregates",
    "algebra: read-time parts that are scalar subqueries, beside a merged subquery",
)  # fmt: skip
TOO_LARGE = {
    "spark": {*_NESTED},
    "trino": {
        *_NESTED, "algebra: left join of two streams, floats and extremes",
        "algebra: IN and NOT IN", "algebra: semi and anti joins",
        "algebra: the last row of another stream, by LIMIT 1", "algebra: join of two aggregates",
        "algebra: left join of two aggregates", "algebra: a projection of an aggregate",
        "algebra: the size of the last session",
        "algebra: a CTE that hides a table in one place only",
        "algebra: EXISTS of a star, of one table's star, and FROM first",
        "algebra: a constant out of the first row, by LIMIT 1",
        "algebra: a read-time part that is a scalar subquery, of rows",
        "agree: late rows in FILTER", "algebra: an aggregate without GROUP BY",
        "algebra: EXISTS of a star under DISTINCT, and of one less a column",
    },
}  # fmt: skip
#: What only DuckDB reads.
DUCKDB_ONLY = re.compile(
    r"\bASOF\b|\bQUALIFY\b|\bEXCLUDE\b|\bMATERIALIZED\b|\bEPOCH_US\b|\bEPOCH\s*\(|\bLATERAL\b|\bINT128\b"
    r"|\bMAKE_TIMESTAMP|\bTIMESTAMPTZ\b|\bERROR\s*\(|>>|\bWINDOW\b|\bROW_NUMBER\(\) OVER \(\s*\)"
    r"|\bHUGEINT\b|\bISFINITE\b|\bLIST\s*\(|\bQUANTILE|\bARG_M|\bSTRING_AGG\b|\bTIMESTAMP WITH TIME ZONE\b(?<!\(6\) WITH TIME ZONE)(?<!\(9\) WITH TIME ZONE)"
)  # fmt: skip
TRINO_TOO = re.compile(
    r"\bSEMI JOIN\b|\bANTI JOIN\b|\bFILTER\s*\(WHERE[^()]*\) OVER\b|AS TIMESTAMP\)"
)

CASES = cases()


def statements(case: EngineCase) -> list[tuple[str, str]]:
    return list(case.statements())


def _write(case: EngineCase, sql: str, engine: Engine) -> str:
    return write_for_engine(sql, engine, spine_columns=list(case.spine_types), schema=case.schema)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_case_is_written_or_refused_by_name(case: EngineCase) -> None:
    for name, sql in statements(case):
        engines, why = REFUSED.get((case.name, name), ((), ""))
        for engine in OTHERS:
            if engine in engines:
                with pytest.raises(CompileError, match=why):
                    _write(case, sql, engine)
                continue
            steps = write_steps_for_engine(
                sql, engine, "lake.scratch.run_", spine_columns=list(case.spine_types),
                schema=case.schema,
            )  # fmt: skip
            assert len(steps.create) == len(steps.drop)
            try:
                texts = [_write(case, sql, engine)]
            except CompileError as error:
                assert "run it in steps" in str(error)
                assert name == "chosen" and case.name in TOO_LARGE[engine]
                texts = [*steps.create, steps.query]
            for text in texts:
                _check_dialect(text, engine)


def _check_dialect(text: str, engine: Engine) -> None:
    tree = sqlglot.parse_one(text, dialect=engine)
    assert isinstance(tree, (exp.Query, exp.Create))
    found = DUCKDB_ONLY.search(text) or (TRINO_TOO.search(text) if engine == "trino" else None)
    assert found is None, found.group(0)


@pytest.mark.slow
def test_the_same_text_is_written_each_time() -> None:
    for case in CASES[:40:5]:
        for name, sql in statements(case):
            if (case.name, name) in REFUSED or case.name in TOO_LARGE["trino"]:
                continue
            assert all(_write(case, sql, e) == _write(case, sql, e) for e in OTHERS)


def test_the_compiler_writes_for_engines() -> None:
    case = CASES[0]
    compiled = compile_view(case.view, case.leaves)
    for engine in OTHERS:
        there = compiled.for_engine(engine).point_in_time()
        text = write_for_engine(there, engine, schema=case.schema)
        assert compiled.point_in_time(engine=engine) == text


def test_each_engine_takes_what_is_cheap_there() -> None:
    window = "select k, sum(x) as s from events where ts > now() - interval '1' hour group by k"
    history = "select k, ts, x from events"

    def taken(sql: str, event_time: str | None, rows_per_key: float | None) -> list[str]:
        leaf = replace(EVENTS, rows_per_key=rows_per_key)
        view = compile_view(FeatureView("v", sql, ("k",), event_time=event_time), (leaf,))
        return [view.for_engine(engine).lowering for engine in ("duckdb", "trino", "spark")]

    assert taken(window, None, None) == ["cumulative", "tiles", "cumulative"]
    assert taken(history, "ts", None) == ["latest", "tiles", "latest"]
    assert taken(window, None, 25) == ["stab", "stab", "stab"]
    assert taken(history, "ts", 25) == ["latest", "stab", "latest"]


def test_another_lowering_is_taken_where_the_chosen_one_cannot_be_run() -> None:
    sql = "select k, median(x) as m from events where ts > now() - interval '6' hour group by k"
    compiled = compile_view(FeatureView("medians", sql, ("k",)), (EVENTS,))
    assert compiled.lowering == "cumulative + frames"
    there = compiled.for_engine("trino")
    assert there.lowering == "stab" and compiled.for_engine("duckdb") is compiled
    assert compiled.for_engine("spark").lowering == compiled.lowering
    assert "median over a frame is not supported on trino" in there.choice.reasons[0]
    assert "lowering: stab" in compiled.explain(engine="trino", sql=False)
    assert compiled.point_in_time(engine="trino") == compiled.point_in_time(
        engine="trino", lowering="stab"
    )


def test_what_no_lowering_can_run_is_refused_by_name() -> None:
    sql = (
        "select k, ts, lag(x, cast(x as int)) over (partition by k order by ts, x) as m from events"
    )
    compiled = compile_view(FeatureView("lags", sql, ("k",), event_time="ts"), (EVENTS,))
    with pytest.raises(CompileError, match=r"lag by .* is not supported on trino"):
        compiled.for_engine("trino")


def test_duckdb_is_left_as_it_is() -> None:
    assert write_for_engine("select  1 as one", "duckdb") == "select  1 as one"


def test_a_spine_of_unknown_columns_keeps_all_of_them() -> None:
    (_, sql), *_ = statements(CASES[0])
    trino = write_for_engine(sql, "trino", schema=CASES[0].schema)
    assert "EXCLUDE_COLUMNS(" in trino and 'DESCRIPTOR("fb_row", "fb_t")' in trino
    assert "EXCEPT (fb_row, fb_t)" in write_for_engine(sql, "spark", schema=CASES[0].schema)


def test_rows_are_numbered_by_what_they_hold() -> None:
    """Trino reads a common table expression again for each reader, which must number rows alike."""
    for case in CASES[:3]:
        for _, sql in statements(case):
            for engine in OTHERS:
                tree = sqlglot.parse_one(_write(case, sql, engine), dialect=engine)
                for window in tree.find_all(exp.Window):
                    assert not isinstance(window.this, exp.RowNumber) or window.args.get("order")


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("select hash(s) as h from probe", "hash"),
        (
            "select list_sort(list(i order by i)) as l from probe",
            "(list_sort|array_sort|sort_array)",
        ),
        ("select product(i) as p from probe", "product"),
        ("select mode(i) as m from probe", "mode"),
        ("select skewness(i) as m from probe", "skewness"),
        ("select median(d) as m from probe", "quantile"),
        ("select cast(f as varchar) as t from probe", "the text of"),
        ("select cast(f as decimal(10, 2)) as t from probe", "float to a decimal"),
        ("select f % 2 as m from probe", "remainder"),
        ("select i // 2.5 as m from probe", "other than integers"),
        ("select avg(ts) as t from probe", "average of times"),
        (
            "select sum(distinct i) over (order by id) as t from probe",
            "distinct values over a frame",
        ),
        ("select list(i order by i) over (order by id) as t from probe", "over a frame"),
        ("select date_diff('week', ts, ts) as w from probe", "weeks"),
        ("select lag(s, i) over (order by id) as w from probe", "lag by i rows"),
    ],
)
def test_what_has_no_mapping_is_refused_by_name(sql: str, name: str) -> None:
    for engine in OTHERS:
        with pytest.raises(CompileError, match=f"(?i){name}.* on {engine}"):
            write_for_engine(sql, engine, schema={"probe": COLUMNS})


def test_what_depends_on_a_type_that_is_not_known_is_refused() -> None:
    for sql in (
        "select cast(x as integer) as i from t",
        "select x at time zone 'Europe/Paris' as i from t",
        "select median(x) as i from t",
    ):
        for engine in OTHERS:
            with pytest.raises(CompileError):
                write_for_engine(sql, engine)
    with pytest.raises(CompileError, match="must not subtract"):
        write_for_engine(
            "select sum(x) over (order by t range between 1 preceding and current row) as s from e",
            "trino",
        )


def test_frames_that_an_engine_cannot_do() -> None:
    def of(sql: str, engine: Engine) -> str | None:
        return window_refusal(sqlglot.parse_one(sql, dialect="duckdb"), engine)

    assert of("count(distinct x)", "duckdb") is None
    assert of("count(x)", "trino") is None
    assert of("min(x) filter (where y)", "trino") is None
    assert of("count(distinct x)", "trino") == "count of distinct values over a frame"
    assert of("median(x)", "trino") is not None
    assert of("median(x)", "spark") is None
    assert of("row_number()", "spark") is None


def test_every_function_of_the_tables_is_probed() -> None:
    probed: set[type[exp.Expr] | str] = set()
    for sql in probe_statements():
        for node in sqlglot.parse_one(sql, dialect="duckdb").walk():
            probed.add(node.name.lower() if isinstance(node, exp.Anonymous) else type(node))
    known: set[type[exp.Expr] | str] = {
        *SCALARS,
        *AGGREGATES,
        *PLACED,
    }
    never_read = {exp.DateTrunc}
    missing = {k for k in known - probed - never_read if k not in _REFUSED_ALWAYS}
    assert not missing


#: In the tables only to be refused with a reason of its own.
_REFUSED_ALWAYS = {exp.Skewness}


def test_every_probe_is_written() -> None:
    for sql in probe_statements():
        for engine in OTHERS:
            text = write_for_engine(sql, engine, schema={"probe": COLUMNS})
            assert sqlglot.parse_one(text, dialect=engine)


def test_floats_are_compared_with_nan_the_greatest() -> None:
    """Trino says of NaN that it is neither equal to, below nor above anything."""
    for sql, text in {
        "select id from nans where f > i": "(f > i) OR (is_nan(f) AND NOT i IS NULL)",
        "select id from nans where f = f": "f = f OR (is_nan(f) AND is_nan(f))",
        "select max(f) as m from nans": "CASE WHEN bool_or(is_nan(f)) THEN nan() ELSE max(f) END",
    }.items():
        written = write_for_engine(sql, "trino", schema={"nans": NAN_COLUMNS})
        assert text.lower() in re.sub(r"(?<=\() | (?=\))", "", " ".join(written.lower().split()))
    for sql in nan_statements():
        text = write_for_engine(sql, "spark", schema={"nans": NAN_COLUMNS})
        assert "is_nan(" not in text
