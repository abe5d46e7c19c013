"""Rows told change the value as told; rows not told change nothing: held to brute force."""

from __future__ import annotations

import pytest

from tests.forebay.why.held_to_oracle import Held, hold_to_oracle
from tests.prove.case import Case
from tests.prove.run import case_name
from tests.prove.views import draw_case

_SEED = 20240905


def _asked(case: Case) -> list[tuple[object, ...]]:
    whole = [row for row in case.spine if None not in row[1:-1]]
    return whole[len(whole) // 2 :][:1]


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
