"""The mutations follow the passes, and the tests notice a few of them; all of them take minutes."""

from __future__ import annotations

import pytest

from tests.feature_specs import test_algebra, test_variants_agree
from tests.mutation.__main__ import main
from tests.mutation.mutation import ROOT, Mutation, algebra, variants
from tests.mutation.mutations import MUTATIONS

#: One of each family, for the slow test.
_FEW = (
    "cut forgets the arrival", "a row leaves a window late", "an outer join is an inner one",
    "late rows never leave", "rows that end touch nobody", "a missing mask passes",
)  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_mutation_still_applies(mutation: Mutation) -> None:
    mutation.applied()


def test_mutations_are_many_and_have_names_of_their_own() -> None:
    names = [m.name for m in MUTATIONS]
    assert len(names) >= 45 and len(set(names)) == len(names)
    assert len({m.path for m in MUTATIONS}) >= 25


def test_the_tests_that_are_named_exist() -> None:
    known = set(algebra(*(c.name for c in test_algebra.CASES)))
    known |= set(variants(*(c.name for c in test_variants_agree.CASES)))
    for mutation in MUTATIONS:
        for test in mutation.tests:
            file, _, name = test.partition("::")
            function = f"def {name.partition('[')[0]}(" if name else ""
            assert function in (ROOT / file).read_text(), mutation.name
            drawn_from_cases = name.startswith("test_every_variant")
            assert test in known or not drawn_from_cases, mutation.name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_few_mutations_are_caught() -> None:
    chosen = [argument for name in _FEW for argument in ("--only", name)]
    assert main([*chosen, "--jobs", "2", "--quick"]) == 0
