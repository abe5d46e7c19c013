"""The steps that the incremental variant will be held to are consistent with each other."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.prove.batches import draw_steps
from tests.prove.views import draw_case


@pytest.mark.parametrize("number", range(20))
def test_batches_without_rewrites_add_up_to_the_tables(number: int) -> None:
    case = draw_case(f"9:{number}")
    steps = draw_steps(case, rewrites=False)
    for name, rows in case.tables.items():
        assert Counter(steps[-1].tables[name]) == Counter(rows)
        assert not any(step.removed[name] for step in steps)


@pytest.mark.parametrize("number", range(20))
def test_each_step_is_the_one_before_plus_added_minus_removed(number: int) -> None:
    steps = draw_steps(draw_case(f"9:{number}"))
    for before, after in pairwise(steps):
        assert before.at <= after.at
        for name, rows in after.tables.items():
            kept = Counter(before.tables[name]) - Counter(after.removed[name])
            assert kept + Counter(after.added[name]) == Counter(rows)


def test_steps_stand_still_rewrite_remove_and_are_empty_now_and_then() -> None:
    steps = [step for n in range(60) for step in draw_steps(draw_case(f"9:{n}"))]
    pairs = list(pairwise(steps))
    assert any(a.at == b.at for a, b in pairs)
    assert any(any(step.removed.values()) for step in steps)
    assert any(not any(step.added.values()) for step in steps)
