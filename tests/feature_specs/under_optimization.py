"""What must hold under ``python -O``, where assert statements are gone: run by test_optimization.py.

Run as ``python -O -m tests.feature_specs.under_optimization``; says what failed by its exit code.
"""

from __future__ import annotations

import sys
from unittest.mock import patch

import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.compile import compiled_view
from feature_specs.errors import UnsafeQueryError

#: Tests whose refusals are found by ``pytest.raises``, which is not an assert statement.
TESTS = (
    "tests/feature_specs/test_certificate.py",
    "tests/mutation/test_proof_holes.py",
    "tests/feature_specs/test_arguments.py",
    "tests/feature_specs/test_public_api.py",
)


def _refuse(*_: object) -> None:
    raise UnsafeQueryError("no proof", where="v.sql", hint="none")


def _compiles_without_a_proof() -> bool:
    leaf = Leaf("e", {"k": "VARCHAR", "ts": "TIMESTAMPTZ"}, event_time="ts")
    view = FeatureView("v", "select k, count(*) as n from e group by k", ["k"])
    with patch.object(compiled_view, "certify_statement", _refuse):
        try:
            compile_view(view, [leaf])
        except UnsafeQueryError:
            return False
    return True


def main() -> int:
    """0 where all holds, 3 where asserts are executed, 4 where a view compiles without a proof."""
    if __debug__:
        return 3
    if _compiles_without_a_proof():
        return 4
    return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *TESTS]))


if __name__ == "__main__":
    sys.exit(main())
