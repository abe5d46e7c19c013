"""An interval form that the leak proof refuses is not lost in silence.

A pass that starts rows too early is found by the proof, and the view then compiles by decorrelation,
which is right but slow: the answers agree, and only this tells that a pass is broken.
"""

from __future__ import annotations

from typing import Any

import pytest

from feature_specs.compile import compile_view
from feature_specs.errors import CompileError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs import test_algebra, test_variants_agree
from tests.feature_specs.worlds import EVENTS
from tests.mutation.test_holes import RANKED
from tests.prove.views import draw_case

pytestmark = pytest.mark.many_cases

_CASES: dict[str, tuple[str, tuple[Leaf, ...], tuple[str, ...], dict[str, Any]]] = {
    **{c.name: (c.sql, c.leaves, c.entities, c.options) for c in test_variants_agree.CASES},
    **{c.name: (c.sql, c.leaves, c.entities, c.options) for c in test_algebra.CASES},
    **{name: (sql, (EVENTS,), ("k",), {}) for name, sql in RANKED.items()},
}
_PROMISED = {c.name: c for c in test_variants_agree.CASES if c.valid}


@pytest.mark.parametrize("name", _CASES)
def test_a_form_has_its_proof(name: str) -> None:
    sql, leaves, entities, options = _CASES[name]
    compiled = compile_view(FeatureView("v", sql, entities, **options), leaves)
    assert "proof" not in compiled.draft.why_no_form


@pytest.mark.parametrize("name", _PROMISED)
def test_a_lowering_that_is_promised_is_valid(name: str) -> None:
    case = _PROMISED[name]
    view = FeatureView("v", case.sql, case.entities, **case.options)
    compiled = compile_view(view, case.leaves)
    for lowering in sorted(case.valid):
        try:
            compiled.point_in_time(lowering=lowering)
        except CompileError as error:
            pytest.fail(f"{lowering}: {error}")


@pytest.mark.parametrize("number", range(40))
def test_a_drawn_form_has_its_proof(number: int) -> None:
    case = draw_case(f"20240229:{number}")
    try:
        compiled = compile_view(case.view, case.leaves)
    except CompileError:
        return
    assert "proof" not in compiled.draft.why_no_form
