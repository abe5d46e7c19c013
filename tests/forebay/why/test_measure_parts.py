"""Rows told change the value as told; rows not told change nothing: held to brute force."""

from __future__ import annotations

import duckdb
import pytest

from feature_specs.errors import DataError
from forebay.why.measure_parts import Candidates, measure_parts
from tests.forebay.why.held_to_oracle import Held, hold_to_oracle
from tests.prove.case import Case
from tests.prove.run import case_name
from tests.prove.views import draw_case

_SEED = 20240905


def _asked(case: Case) -> list[tuple[object, ...]]:
    whole = [row for row in case.spine if None not in row[1:-1]]
    return whole[len(whole) // 2 :][:1]


def test_a_value_that_depends_on_the_order_of_rows_is_refused() -> None:
    """1 is lost beside 1e16 where it comes first: by the oldest first the sum is 1, by the newest 0."""
    connection = duckdb.connect()
    connection.execute(
        "create table amounts as from (values (1, 1e16::double), (2, -1e16), (3, 1)) as v(ts, amount)"
    )
    connection.execute("create view payments as from amounts")
    leaves = [Candidates("payments", "select * from amounts", "ts")]
    statement = "select sum(amount) as spent from payments"
    with pytest.raises(DataError) as refused:
        measure_parts(connection, statement, "spent", leaves, 10)
    assert "1.0 in one and 0.0 in another" in str(refused.value) and "Hint:" in str(refused.value)


def test_all_rows_are_read_in_one_order_too() -> None:
    """As by a machine with one core, whatever threads there are: the value told is not another one."""
    connection = duckdb.connect()
    connection.execute("set threads = 4")
    connection.execute("create table amounts as select 1 as ts, 5 as amount")
    connection.execute("create view payments as from amounts")
    statement = "select sum(amount) + current_setting('threads') as spent from payments"
    leaves = [Candidates("payments", "select * from amounts", "ts")]
    found = measure_parts(connection, statement, "spent", leaves, 10)
    assert found.value == 6 and [part.without for part in found.parts] == [None]


@pytest.mark.slow
def test_parts_of_drawn_views_are_what_brute_force_says() -> None:
    held: list[Held] = []
    for number in range(12):
        case = draw_case(case_name(_SEED, number))
        held.append(hold_to_oracle(case, _asked(case), most=4))
    wrong = [text for each in held for text in each.wrong]
    assert not wrong, "\n".join(wrong)
    assert sum(each.told for each in held) > 25
    assert sum(each.left for each in held) > 150
