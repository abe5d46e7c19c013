"""What compiles runs, in every variant: functions of every type, drawn, in views of every shape."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.compile.sql.duckdb_functions import AGGREGATES, PURE
from feature_specs.errors import CompileError, ForebayError

pytestmark = pytest.mark.slow

TZ = "TIMESTAMP WITH TIME ZONE"
AT = datetime(2024, 1, 2, tzinfo=UTC)
TYPES = {
    "i": "INTEGER", "b": "BIGINT", "h": "HUGEINT", "u": "UBIGINT", "t": "TINYINT", "d": "DOUBLE",
    "f": "FLOAT", "n": "DECIMAL(12,2)", "w": "DECIMAL(38,10)", "s": "VARCHAR", "bl": "BLOB",
    "bo": "BOOLEAN", "dt": "DATE", "tn": "TIMESTAMP", "tz": TZ, "ns": "TIMESTAMP_NS", "tm": "TIME",
    "iv": "INTERVAL", "id": "UUID", "j": "JSON", "en": "ENUM('a', 'b')", "l": "INTEGER[]",
    "ls": "VARCHAR[]", "st": "STRUCT(a INTEGER, b VARCHAR)", "m": "MAP(VARCHAR, INTEGER)",
    "ar": "INTEGER[3]", "bn": "BIGNUM",
}  # fmt: skip
COLUMNS = {"k": "VARCHAR", "ts": TZ, "seen": TZ, **TYPES}
EVENTS = Leaf("e", COLUMNS, event_time="ts")
LATE = Leaf("late", COLUMNS, event_time="ts", loaded_at="seen")
VERSIONS = Leaf("v", COLUMNS, valid_from="ts", valid_to="seen")
LEAVES = (EVENTS, LATE, VERSIONS)

#: SQL around features over the rows of a table, and whether these aggregate.
SHAPES = {
    "all of them": ("select k, {} from late group by k", True),
    "a window of them": (
        "select k, {} from e where ts > now() - interval '7 days' group by k",
        True,
    ),
    "versions": ("select k, {} from v group by k", True),
    "the month": ("select k, {} from e where ts > date_trunc('month', now()) group by k", True),
    "a history": ("select k, ts, {} from late", False),
    "of the latest": (
        "select k, {} from (select * from late qualify row_number() over "
        "(partition by k order by ts desc, i desc, s desc) = 1) as e",
        False,
    ),
    "beside each": (
        "select q.k, q.n, {} from (select k, count(*) as n from v group by k) as q "
        "left join e on e.k = q.k group by q.k, q.n",
        True,
    ),
    "an average age": ("select k, avg(epoch(now() - ts)) as age, {} from e group by k", True),
}


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    made.execute("set timezone = 'UTC'")
    listed = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    for leaf in LEAVES:
        made.execute(f"create table {leaf.name} ({listed})")
    made.execute("create table spine as select 'a' as k, timestamptz '2024-01-02' as ts")
    made.execute("create schema online")
    return made


def _features(
    connection: duckdb.DuckDBPyConnection, rng: random.Random, count: int, *, aggregates: bool
) -> list[str]:
    """Calls that DuckDB takes, of values that are columns, constants or calls themselves."""
    columns, functions, outer = list(TYPES), sorted(PURE), sorted(AGGREGATES)
    found: list[str] = []
    while len(found) < count:
        values = [
            rng.choice([*columns, "2", "'a'", "null"]) for _ in range(rng.choice((1, 1, 2, 3)))
        ]
        call = f"{rng.choice(functions)}({', '.join(values)})"
        value = rng.choice((call, call, values[0]))
        if aggregates:
            order = rng.choice(("", " order by ts, i, s"))
            value = f"{rng.choice(outer)}({rng.choice((value, ', '.join(values)))}{order})"
            value += rng.choice(("", "", " filter (where ts > now() - interval '1 day')"))
        try:
            connection.execute(f"describe select {value} from e")
        except duckdb.Error:
            continue
        found.append(value)
    return found


def _compiled(shape: str, features: list[str]) -> CompiledView | None:
    listed = ", ".join(f"{feature} as v{number}" for number, feature in enumerate(features))
    sql = SHAPES[shape][0].format(listed)
    time = "ts" if shape == "a history" else None
    try:
        return compile_view(FeatureView("view", sql, ["k"], event_time=time), LEAVES)
    except ForebayError:
        return None


@pytest.mark.parametrize("shape", SHAPES)
def test_every_variant_runs(shape: str, connection: duckdb.DuckDBPyConnection) -> None:
    rng = random.Random(shape)
    drawn = _features(connection, rng, 12, aggregates=SHAPES[shape][1])
    # One by one first: an order that is missing, a clock that is hidden, refuse the whole view.
    taken = [feature for feature in drawn if _compiled(shape, [feature]) is not None]
    assert len(taken) > 3
    view = _compiled(shape, taken)
    assert view is not None
    for name, sql in _statements(view).items():
        try:
            result = connection.execute(sql, {"as_of": AT} if "$as_of" in sql else None)
            names = [column[0] for column in result.description or []]
            result.fetchall()
        except duckdb.Error as error:
            pytest.fail(f"{name} of {view.view.sql}: {error}")
        if name.startswith(("point", "as of")):
            assert names[-len(view.features) :] == [f.name for f in view.features]


def _statements(view: CompiledView) -> dict[str, str]:
    """Every statement in the order in which they run, by what it is."""
    found = {"as of": view.as_of()}
    for lowering in (None, *LOWERINGS):
        try:
            found[f"point in time {lowering}"] = view.point_in_time(lowering=lowering)
        except CompileError:
            continue
    online, state = view.online(), view.incremental()
    found["store"] = f"create or replace table online.stored as {online.store}"
    found["read"] = online.read.replace("from stored", "from online.stored")
    steps = [*state.create, *state.step, state.read]
    return found | {f"state {number}": sql for number, sql in enumerate(steps)}
