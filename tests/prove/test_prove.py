"""A fixed seed of drawn cases: every variant gives what the oracle gives."""

from __future__ import annotations

import os

import pytest

from tests.prove.check import Outcome
from tests.prove.coverage import Coverage
from tests.prove.run import prove

_SEED = 20240229
_FEW = 40
#: How many cases the slow test runs; 500 take about three minutes on two cores.
_MANY = int(os.environ.get("PROVE_N", "500"))


def _run(count: int) -> tuple[Coverage, list[Outcome]]:
    coverage, failures = Coverage(), []
    for outcome in prove(_SEED, count):
        coverage.add(outcome)
        failures += [outcome] if outcome.status == "failed" else []
    return coverage, failures


def _described(failures: list[Outcome]) -> str:
    lines = [f"python -m tests.prove --case {o.name}: {o.message[:500]}" for o in failures[:10]]
    return "\n".join([f"{len(failures)} cases failed", *lines])


@pytest.mark.slow
def test_a_few_drawn_views_agree() -> None:
    coverage, failures = _run(_FEW)
    assert not failures, _described(failures)
    assert coverage.cases == _FEW


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_drawn_views_agree_and_cover_the_language() -> None:
    coverage, failures = _run(_MANY)
    assert not failures, _described(failures)
    assert not coverage.broken(), coverage.to_json()
