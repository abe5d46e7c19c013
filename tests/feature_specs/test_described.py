"""What would compile and then fail whatever the data is refused when compiling, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_view
from feature_specs.errors import CompileError, ForebayError

pytestmark = pytest.mark.many_cases

TZ = "TIMESTAMP WITH TIME ZONE"
COLUMNS = {
    "k": "VARCHAR",
    "ts": TZ,
    "x": "INTEGER",
    "f": "FLOAT",
    "d": "DOUBLE",
    "s": "VARCHAR",
    "day": "DATE",
    "l": "INTEGER[]",
    "bo": "BOOLEAN",
}
LEAF = Leaf("e", COLUMNS, event_time="ts")


def _compiled(sql: str, *entities: str, leaf: Leaf = LEAF) -> CompiledView:
    return compile_view(FeatureView("v", sql, entities or ("k",), file="v.sql"), [leaf])


REFUSED = {
    "sum of an instant": ("select k,\n sum(ts) as v from e group by k", "sum\\(TIMESTAMP", 2),
    "sum of a text": ("select k,\n sum(s) as v from e group by k", "sum\\(VARCHAR", 2),
    "unknown function": ("select k,\n max(st_distance(x, x)) as v from e group by k", "st_distance", 2),
    "instant and word": ("select k, count(*) as v from e\nwhere ts > 'yesterday' group by k", "'yesterday' is not a valid TIMESTAMP", 2),
    "number and word": ("select k, count(*) filter (where x = 'abc') as v from e group by k", "'abc' is not a valid INTEGER", 1),
    "list of numbers": ("select k, count(*) as v from e where x in ('1', 'b') group by k", "'b' is not a valid INTEGER", None),
    "between": ("select k, count(*) as v from e where day between '2024-01-01' and '2024-02-30' group by k", "'2024-02-30' is not a valid DATE", None),
    "a cast": ("select k, count(*) as v from e where x > cast('x1' as integer) group by k", "'x1' is not a valid INTEGER", 1),
    "a date literal": ("select k, count(*) as v from e where day > date '2024-13-01' group by k", "2024-13-01", 1),
    "HAVING": ("select k, max(x) as v from e group by k having max(ts) > 'foo'", "'foo' is not a valid TIMESTAMP", 1),
    "a column of a subquery": ("select k, max(s) as v from (select k, x as s from e) as i where s <> 'abc' group by k", "'abc' is not a valid INTEGER", 1),
    "zone": ("select k,\n count(*) filter (where ts at time zone 'Mars/X' > timestamp '2024-01-01') as v from e group by k", "no time zone 'Mars/X'", 2),
    "zone of a function": ("select k,\n max(timezone('Mars/X', ts)) as v from e group by k", "no time zone 'Mars/X'", 2),
    "a part of the date": ("select k,\n max(date_trunc('dya', ts)) as v from e group by k", '"DYA" not recognized', 2),
    "a part in a difference": ("select k,\n max(date_diff('foo', ts, ts)) as v from e group by k", '"FOO" not recognized', 2),
    "a format": ("select k,\n max(strftime(ts, '%Q')) as v from e group by k", "format specifier %Q", 2),
    "a regular expression": ("select k,\n max(regexp_replace(s, '(', 'x')) as v from e group by k", "missing \\)", 2),
    "a word for a truth": ("select k, count(*) filter (where x > 1 and 'abc') as v from e group by k", "'abc' to BOOL|'abc' is not a valid BOOLEAN", 1),
    "a list for a truth": ("select k, count(*) filter (where l) as v from e group by k", "cast \\(INTEGER\\[\\] -> BOOLEAN\\)", None),
    "a cast that is none": ("select k,\n max(cast(day as integer)) as v from e group by k", "cast \\(DATE -> INTEGER\\)", 2),
    "a word for an interval": ("select k, max(ts + 'abc') as v from e group by k", "'abc' (to|is not a valid) INTERVAL", 1),
    "an interval of none": ("select k, max(x * interval 'foo') as v from e group by k", "'foo' (to|is not a valid) INTERVAL", 1),
    "a word among numbers": ("select k, max([x, 'a']) as v from e group by k", "'a' (to INT32|is not a valid INTEGER)", 1),
    "greatest": ("select k, max(greatest(x, 'abc')) as v from e group by k", "'abc' (to INT32|is not a valid INTEGER)", 1),
    "whether distinct": ("select k, count(*) filter (where x is distinct from 'a') as v from e group by k", "'a' (to INT32|is not a valid INTEGER)", 1),
    "a case of a number": ("select k, max(case x when 'a' then 1 end) as v from e group by k", "'a' to INT32", 1),
    "a bucket of nothing": ("select k, max(time_bucket(interval '0 days', ts)) as v from e group by k", "zero days", None),
    "placeholders": ("select k, max(format('{} {}', x)) as v from e group by k", "Argument index", None),
    "one argument for two": ("select k,\n arg_max(x) as v from e group by k", "arg_max\\(INTEGER\\)", 2),
    "no argument": ("select k,\n mode() as v from e group by k", "mode\\(\\)", 2),
    "a number for a truth": ("select k,\n count_if(x) as v from e group by k", "count_if\\(INTEGER\\)", 2),
    "at reading": ("select k, max(s) + request('w', 'double') as v from e group by k", "DuckDB refuses", None),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_fails_whatever_the_data_is_refused(name: str) -> None:
    sql, says, line = REFUSED[name]
    with pytest.raises(CompileError, match=says) as caught:
        _compiled(sql)
    assert caught.value.file == "v.sql" and caught.value.hint
    assert line is None or caught.value.line == line


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("count_if(bo, 2)", "count_if() takes 1 argument, but is given 2"),
        ("mean(x, 2)", "mean() takes 1 argument, but is given 2"),
        ("mode(x, 2)", "mode() takes 1 argument, but is given 2"),
        (
            "approx_count_distinct(x, 0.1)",
            "approx_count_distinct() takes 1 argument, but is given 2",
        ),
        ("weighted_avg(x, x, x)", "weighted_avg() takes 2 arguments, but is given 3"),
        ("weighted_avg(x)", "weighted_avg() takes 2 arguments, but is given 1"),
        ("count_star(x)", "count_star() takes 0 arguments, but is given 1"),
        ("list(x, 2 order by ts)", "list() takes 1 argument, but is given 2"),
    ],
)
def test_an_argument_that_duckdb_refuses_is_not_dropped(call: str, says: str) -> None:
    opened = duckdb.connect()
    opened.execute("create table e (" + ", ".join(f"{c} {t}" for c, t in COLUMNS.items()) + ")")
    with pytest.raises(duckdb.Error):
        opened.execute(f"select {call} from e")
    with pytest.raises(CompileError, match=re.escape(says)):
        _compiled(f"select k, {call} as v from e group by k")


FINE = {
    "dates as texts": "select k, count(*) as v from e where ts > '2024-01-01' and day <> '2024-01-01' group by k",
    "numbers as texts": "select k, count(*) as v from e where x in ('1', '2') and s = 'abc' group by k",
    "a cast that data may fail": "select k, max(cast(s as integer)) as v from e group by k",
    "a cast where no row comes": "select k, max(case when s = 'never' then cast('abc' as integer) else x end) as v from e group by k",
    "a division by nothing": "select k, max(1 / 0) as v from e group by k",
    "an error that data may meet": "select k, max(cast(s as timestamptz)) as v from e group by k",
    "try_cast": "select k, max(try_cast('abc' as integer)) as v from e group by k",
    "a zone": "select k, max(ts at time zone 'europe/Berlin') as v from e group by k",
    "a word that is not a number, for some": "select k, max(case when bo then x else cast('n/a' as integer) end) as v from e group by k",
    "in place of what is null": "select k, max(cast(coalesce(s, 'n/a') as integer)) as v from e group by k",
    "a format of other texts": "select k, max(strptime(s, '%d/%m/%Y')) as v from e group by k",
    "a logarithm of what may be large": "select k, max(ln(x - 1000)) as v from e where s <> 'n/a' group by k",
    "an apostrophe": "select k, count(*) as v from e where s = 'it''s' group by k",
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_what_only_data_may_fail_is_not(name: str) -> None:
    view = _compiled(FINE[name])
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute("create table e (" + ", ".join(f"{c} {t}" for c, t in COLUMNS.items()) + ")")
    opened.execute(f"create table spine (k varchar, ts {TZ})")
    assert opened.execute(view.as_of(datetime(2024, 1, 1, tzinfo=UTC))).fetchall() == []
    assert opened.execute(view.point_in_time()).fetchall() == []


@pytest.mark.parametrize(
    ("sql", "entity", "kind"),
    [
        ("select f, count(*) as n from e group by f", "f", "FLOAT"),
        ("select d, count(*) as n from e group by d", "d", "DOUBLE"),
        ("select x / 2 as Half, count(*) as n from e group by 1", "Half", "DOUBLE"),
        ("select cast(x as real) as r, count(*) as n from e group by 1", "r", "FLOAT"),
        ("select coalesce(x, d) as c, count(*) as n from e group by 1", "c", "DOUBLE"),
        ("select m as m, count(*) as n from (select avg(x) as m from e group by k) as i group by m", "m", "DOUBLE"),
        ("select d, ts, x from e", "d", "DOUBLE"),
    ],
)  # fmt: skip
def test_a_float_is_no_key_of_a_column_or_a_computation(sql: str, entity: str, kind: str) -> None:
    view = FeatureView("v", sql, [entity], event_time="ts" if ", ts," in sql else None)
    with pytest.raises(
        CompileError, match=f"entity '{entity}' is a {kind}, and a float cannot be a key"
    ):
        compile_view(view, [LEAF])


def test_a_type_that_duckdb_does_not_have_is_a_leaf_s_fault() -> None:
    leaf = Leaf("e", {**COLUMNS, "s": "MOOD"}, event_time="ts", where="s.yml:7")
    with pytest.raises(CompileError, match="column 's' of e is of type 'MOOD'") as caught:
        _compiled("select k, max(x) as v from e group by k", leaf=leaf)
    assert str(caught.value.where) == "s.yml:7"


def test_one_name_may_be_another_table_in_another_view() -> None:
    sql = "select k, max(x) as v from e group by k"
    for kind in ("INTEGER", "VARCHAR", "INTEGER"):
        view = _compiled(sql, leaf=Leaf("e", {**COLUMNS, "x": kind}, event_time="ts"))
        assert view.types.features == {"v": kind}


def test_names_of_three_parts() -> None:
    """A table of a schema, by whichever name its columns are called: it runs, or does not compile."""
    leaf = Leaf("main.e", COLUMNS, event_time="ts")
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute("create table e (" + ", ".join(f"{c} {t}" for c, t in COLUMNS.items()) + ")")
    opened.execute("create table spine as select 'a' as k, timestamptz '2024-01-01' as ts")
    for column in ("main.e.x", "e.x", "x"):
        try:
            view = _compiled(f"select k, max({column}) as v from main.e group by k", leaf=leaf)
        except ForebayError:
            assert column == "main.e.x"
            continue
        assert len(opened.execute(view.point_in_time()).fetchall()) == 1
