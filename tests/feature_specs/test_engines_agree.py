"""A share of the cases of the one law, of drawn views and of the functions, on real engines.

All of them: `make prove-engines`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from feature_specs.compile.engines import Engine
from tests.feature_specs.engine_differential import (
    Result,
    cases,
    compare,
    compare_probes,
    drawn_cases,
)
from tests.servers.engine import EngineServer

#: A loaded machine plans a large statement for a minute.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
_SEED = 20240229
#: Every so many of the cases by hand and of the functions, and so many drawn cases.
_SHARE, _FUNCTIONS, _DRAWN = 15, 6, 3
#: Refused on an engine, by a reason that test_engines.py holds: at most this share.
_REFUSED = 0.15


@pytest.fixture(params=["trino", "spark"])
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture
def server(engine: Engine, request: pytest.FixtureRequest) -> EngineServer:
    found: EngineServer = request.getfixturevalue(engine)
    return found


def _held(run: Callable[[Callable[[Result], None]], None]) -> list[Result]:
    """The results, none of which is a failure."""
    results: list[Result] = []
    run(results.append)
    wrong = [r for r in results if r.outcome not in ("equal", "refused")]
    assert not wrong, "\n".join(_described(wrong))
    return results


def _described(results: Iterable[Result]) -> list[str]:
    return [f"{r.case}, {r.statement}: {r.outcome}: {r.detail[:600]}" for r in results]


def test_a_share_of_the_algebra_agrees(engine: Engine, server: EngineServer) -> None:
    chosen = cases()[::_SHARE]
    results = _held(lambda report: compare(engine, server, chosen, report))
    refused = [r for r in results if r.outcome == "refused"]
    assert len(refused) <= _REFUSED * len(results), "\n".join(_described(refused))


def test_drawn_views_agree(engine: Engine, server: EngineServer) -> None:
    results = _held(lambda report: compare(engine, server, drawn_cases(_SEED, _DRAWN), report))
    assert len(results) > _DRAWN


def test_a_share_of_the_functions_agrees(engine: Engine, server: EngineServer) -> None:
    results = _held(lambda report: compare_probes(engine, server, report, every=_FUNCTIONS))
    assert all(r.outcome == "equal" for r in results)
