"""Thresholds of drift: read from meta, refused where they are none, and no part of a meaning."""

from __future__ import annotations

import pytest

from feature_specs.drift_options import Thresholds, check_drifting, read_drift, thresholds_of
from feature_specs.errors import SpecError, UnknownNameError
from feature_specs.view_options import read_options


def test_a_feature_s_own_come_before_the_view_s_and_these_before_the_defaults() -> None:
    said = {"psi": 0.1, "rows": 20, "features": {"delay": {"psi": 0.5, "ks": 0.2}}}
    drift = read_options({"entities": ["k"], "drift": said}, "v.yml").drift
    assert thresholds_of(drift, "delay") == Thresholds(psi=0.5, ks=0.2, rows=20)
    assert thresholds_of(drift, "n") == Thresholds(psi=0.1, rows=20)
    assert thresholds_of({}, "n") == Thresholds()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"pssi": 1}, "drift has no field 'pssi'. Hint: did you mean 'psi'?"),
        ({"psi": "much"}, "drift.psi is 'much'. Hint: write a number from 0 on"),
        ({"psi": True}, "drift.psi is True"),
        ({"js": 1.5}, "drift.js is 1.5. Hint: write a number from 0 to 1"),
        ({"psi": float("nan")}, "drift.psi is nan"),
        ([1], "drift is not a mapping"),
        ({"features": {"n": 3}}, "drift.features.n is not a mapping"),
        ({"features": {"n": {"kss": 3}}}, "drift.features.n has no field 'kss'"),
    ],
)
def test_refused(said: object, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        read_drift(said, "drift", "v.yml")
    assert message in str(refused.value)


def test_a_feature_that_is_not_there() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'delay'"):
        check_drifting({"": {}, "dely": {}}, ["n", "delay"], "delays")
