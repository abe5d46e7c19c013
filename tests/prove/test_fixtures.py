"""Every case that once failed, shrunk, agrees now."""

from __future__ import annotations

import pytest

from tests.prove.case import Case
from tests.prove.check import check
from tests.prove.engines import Engines
from tests.prove.fixtures import read_fixtures

_FIXTURES = read_fixtures()


@pytest.mark.parametrize("case", _FIXTURES.values(), ids=_FIXTURES.keys())
def test_what_once_failed_agrees(case: Case) -> None:
    outcome = check(case, Engines())
    assert outcome.status == "agreed", f"{case.view.sql}\n{outcome.message}"
