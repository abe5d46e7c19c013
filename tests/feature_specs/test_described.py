"""What would compile and then fail whatever the data is refused when compiling, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_view
from feature_specs.errors import CompileError, ForebayError

TZ = "TIMESTAMP WITH TIME ZONE"
COLUMNS = {
    "k": "VARCHAR",
    "ts": TZ,
    "x": "INTEGER",
    "f": "FLOAT",
    "d": "DOUBLE",
    "s": "VARCHAR",
    "day": "DATE",
}
LEAF = Leaf("e", COLUMNS, event_time="ts")


def _compiled(sql: str, *entities: str, leaf: Leaf = LEAF) -> CompiledView:
    return compile_view(FeatureView("v", sql, entities or ("k",), file="v.sql"), [leaf])


REFUSED = {
    "sum of an instant": ("select k,\n sum(ts) as v from e group by k", "sum\\(TIMESTAMP", 2),
    "sum of a text": ("select k,\n sum(s) as v from e group by k", "sum\\(VARCHAR", 2),
    "unknown function": ("select k,\n max(st_distance(x, x)) as v from e group by k", "st_distance", 2),
    "instant and word": ("select k, count(*) as v from e\nwhere ts > 'yesterday' group by k", "'yesterday' is no TIMESTAMP", 2),
    "number and word": ("select k, count(*) filter (where x = 'abc') as v from e group by k", "'abc' is no INTEGER", 1),
    "list of numbers": ("select k, count(*) as v from e where x in ('1', 'b') group by k", "'b' is no INTEGER", None),
    "between": ("select k, count(*) as v from e where day between '2024-01-01' and '2024-02-30' group by k", "'2024-02-30' is no DATE", None),
    "a cast": ("select k, count(*) as v from e where x > cast('x1' as integer) group by k", "'x1' is no INTEGER", 1),
    "a date literal": ("select k, count(*) as v from e where day > date '2024-13-01' group by k", "2024-13-01", 1),
    "HAVING": ("select k, max(x) as v from e group by k having max(ts) > 'foo'", "'foo' is no TIMESTAMP", 1),
    "a column of a subquery": ("select k, max(s) as v from (select k, x as s from e) as i where s <> 'abc' group by k", "'abc' is no INTEGER", 1),
    "zone": ("select k,\n count(*) filter (where ts at time zone 'Mars/X' > timestamp '2024-01-01') as v from e group by k", "no time zone 'Mars/X'", 2),
    "zone of a function": ("select k,\n max(timezone('Mars/X', ts)) as v from e group by k", "no time zone 'Mars/X'", 2),
    "at reading": ("select k, max(s) + request('w', 'double') as v from e group by k", "DuckDB refuses", None),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_fails_whatever_the_data_is_refused(name: str) -> None:
    sql, says, line = REFUSED[name]
    with pytest.raises(CompileError, match=says) as caught:
        _compiled(sql)
    assert caught.value.file == "v.sql" and caught.value.mend
    assert line is None or caught.value.line == line


FINE = {
    "dates as texts": "select k, count(*) as v from e where ts > '2024-01-01' and day <> '2024-01-01' group by k",
    "numbers as texts": "select k, count(*) as v from e where x in ('1', '2') and s = 'abc' group by k",
    "a cast that data may fail": "select k, max(cast(s as integer)) as v from e group by k",
    "a cast where no row comes": "select k, max(case when s = 'never' then cast('abc' as integer) else x end) as v from e group by k",
    "a division by nothing": "select k, max(1 / 0) as v from e group by k",
    "an error that data may meet": "select k, max(cast(s as timestamptz)) as v from e group by k",
    "try_cast": "select k, max(try_cast('abc' as integer)) as v from e group by k",
    "a zone": "select k, max(ts at time zone 'europe/Berlin') as v from e group by k",
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
        CompileError, match=f"entity '{entity}' is a {kind}, and floats are no keys"
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
