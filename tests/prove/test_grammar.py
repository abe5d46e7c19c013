"""What the grammar draws runs by itself and has one answer, whatever order its rows are read in."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.feature_specs.oracle import Features
from tests.prove.case import Case, from_json, to_json
from tests.prove.engines import Engines
from tests.prove.equal import Tolerance, differences
from tests.prove.views import draw_case

_CASES = 60


@pytest.fixture(scope="module")
def engines() -> Engines:
    return Engines()


def _answers(case: Case, engines: Engines) -> list[Features]:
    oracle = engines.load(case)
    instants = sorted({row[-2] for row in case.spine if row[-2] is not None})[:3]
    found: list[Features] = []
    for t in instants:
        answer = oracle.at(t, lag=case.lag, requests={"amount": 0.5})
        found += [answer[key] for key in sorted(answer)]
    return found


@pytest.mark.parametrize("number", range(_CASES))
def test_an_answer_does_not_depend_on_the_order_of_rows(number: int, engines: Engines) -> None:
    case = draw_case(f"8:{number}")
    rng = random.Random(number)
    tables = {name: rng.sample(list(rows), len(rows)) for name, rows in case.tables.items()}
    expected = _answers(case, engines)
    actual = _answers(replace(case, tables=tables), engines)
    tolerance = Tolerance.of(case)
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert not differences(one, other, tolerance), case.view.sql


def test_a_seed_draws_the_same_case_and_json_keeps_it() -> None:
    for number in range(40):
        case = draw_case(f"7:{number}")
        assert case == draw_case(f"7:{number}")
        assert to_json(from_json(to_json(case))) == to_json(case)
