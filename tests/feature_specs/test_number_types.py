"""Sums have DuckDB's own type and value, whatever SQLGlot takes an expression to be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError
from tests.feature_specs.oracle import connect, fill, same
from tests.feature_specs.worlds import BASE, QUARTER, TZ, US

pytestmark = pytest.mark.many_cases

LEAF = Leaf(
    "e",
    {
        "k": "VARCHAR", "ts": TZ, "i": "INTEGER", "b": "BIGINT", "u": "UTINYINT", "h": "HUGEINT",
        "d": "DECIMAL(12,2)", "d4": "DECIMAL(12,4)", "f": "DOUBLE", "r": "FLOAT", "ok": "BOOLEAN",
    },
    event_time="ts",
)  # fmt: skip
NUMBERS = (
    "i * 1.5", "b * 1.0", "i * 0.01", "coalesce(i, 0.5)", "case when ok then 1 else 2.5 end",
    "round(d, 1)", "round(f, 1)", "i - 0.5", "mod(i, 2.5)", "d + d4", "d * d4", "greatest(d, d4)",
    "case when ok then d else d4 end", "coalesce(d, d4)", "extract(epoch from ts)",
    "extract(julian from ts)", "extract(day from ts)", "i / 2", "d / 2", "r / 2", "r * d", "r + f",
    "i // 2", "-i", "u + u", "f * 1.5", "1e0 * i", "d", "d4", "f", "r", "i", "b", "h", "floor(d)",
    "floor(f)", "abs(i)", "nullif(f, 0)", "if(ok, f, 0)", "if(ok, i, 0.25)", "least(r, 1)", "i % 2",
    "sqrt(abs(f))", "cast(f as float)", "cast(i as decimal(9, 3))", "try_cast(i as double)",
    "epoch(ts)", "date_diff('second', timestamptz '2024-02-26', ts)", "sign(f)", "length(k)",
)  # fmt: skip
CHUNKS = [NUMBERS[i : i + 13] for i in range(0, len(NUMBERS), 13)]


def _listed(pattern: str, numbers: Sequence[str]) -> str:
    return ", ".join(pattern.format(number, i) for i, number in enumerate(numbers))


def _query(source: str, numbers: Sequence[str]) -> str:
    totals = _listed("sum(v{1}) as s{1}, avg(v{1}) as a{1}, max(v{1}) as m{1}", numbers)
    values = _listed("{0} as v{1}", numbers)
    if source == "direct":
        return (
            f"select k, {_listed('sum({0}) as s{1}, avg({0}) as a{1}', numbers)} from e group by k"
        )
    if source == "scalar":
        items = _listed("sum(i * (select max({0}) from e as o)) as s{1}", numbers)
        return f"select k, {items} from e group by k"
    inner = {
        "distinct": f"select distinct k, ts, {values} from e",
        "union": f"select k, {values} from e union all select k, {_listed('d4', numbers)} from e",
        "nested": f"select k, ts, {_listed('max({0}) as v{1}', numbers)} from e group by k, ts",
    }[source]
    return f"select k, {totals} from ({inner}) as q group by k"


@pytest.mark.parametrize("source", ["direct", "distinct", "union", "nested", "scalar"])
@pytest.mark.parametrize("numbers", CHUNKS, ids=range(len(CHUNKS)))
def test_totals(numbers: tuple[str, ...], source: str) -> None:
    sql = _query(source, numbers)
    connection = connect()
    fill(connection, "e", LEAF.columns, [
        ("a", BASE, 3, 2**60 + 1, 7, 5, Decimal("1.10"), Decimal("0.0049"), 0.7, 0.25, True),
        ("a", BASE + QUARTER, None, 2**60 + 1, 9, None, None, Decimal("0.4949"), -2.25, 0.1, False),
        ("a", BASE + QUARTER + US, -4, 0, 1, 2, Decimal("7.25"), None, None, None, None),
    ])  # fmt: skip
    connection.execute("create table spine as select 'a' as k, timestamptz '2024-03-01' as ts")
    plain = connection.execute(sql)
    types, expected = [d[1] for d in plain.description or []][1:], plain.fetchone()
    assert expected is not None
    compiled = compile_view(FeatureView("v", sql, ["k"]), leaves=[LEAF])
    checked = 0
    for lowering in (None, *LOWERINGS):
        try:
            statement = compiled.point_in_time(lowering=lowering)
        except CompileError:
            continue
        found = connection.execute(statement)
        assert [d[1] for d in found.description or []][2:] == types, lowering
        (row,) = found.fetchall()
        pairs = zip(row[2:], expected[1:], strict=True)
        for mine, theirs in pairs:
            assert same(mine, theirs, max(1.0, abs(float(theirs or 0)))), (lowering, row, expected)
        checked += 1
    assert checked >= 2
    as_of = connection.execute(compiled.as_of(datetime(2024, 3, 1, tzinfo=UTC)))
    assert [d[1] for d in as_of.description or []][1:] == types


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select k, 5 as y from e except select k, 2.5 from e", "5.0"),
        ("select k, 1 as y from e intersect select k, 1.0 from e", "1.0"),
        ("select k, 1 as y from e intersect select k, 1e0 from e", "1.0"),
        ("select k, i as y from e except select k, d from e", "3.00"),
    ],
)
def test_a_row_of_except_has_the_type_of_both_sides(query: str, expected: str) -> None:
    sql = f"select k, max(cast(y as varchar)) as v from ({query}) as q group by k"
    connection = connect()
    fill(connection, "e", LEAF.columns, [("a", BASE, 3, *[None] * 8)])
    connection.execute("create table spine as select 'a' as k, timestamptz '2024-03-01' as ts")
    compiled = compile_view(FeatureView("v", sql, ["k"]), leaves=[LEAF])
    for statement in (compiled.point_in_time(), compiled.as_of(datetime(2024, 3, 1, tzinfo=UTC))):
        assert connection.execute(f"select v from ({statement})").fetchall() == [(expected,)]
