"""No edge is missing: whatever a changed column moves has an edge from it."""

from __future__ import annotations

import pytest

from tests.lineage.moved import hold_to_oracle
from tests.prove.engines import Engines
from tests.prove.run import case_name
from tests.prove.views import draw_case

_SEED = 20240301


@pytest.mark.slow
def test_drawn_views_have_no_missing_edge() -> None:
    engines = Engines()
    found = [hold_to_oracle(draw_case(case_name(_SEED, n)), engines) for n in range(25)]
    missing = [f"{f.name}: {', '.join(sorted(set(f.missing)))}" for f in found if f.missing]
    assert not missing, "\n".join(missing)
    moved = sum(sum(f.edges.values()) for f in found)
    assert moved > sum(len(f.edges) for f in found) // 4
