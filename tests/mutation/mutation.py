"""One way to break the compiler, and the tests that are likely to notice it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_COMPILE = "feature_specs/compile/"


class StaleMutationError(Exception):
    """The snippet is not in the file as often as it should be."""


@dataclass(frozen=True)
class Mutation:
    """An exact snippet of a pass, and what a careless author might have written instead.

    Attributes:
        file: below ``feature_specs/compile``, without its suffix.
        old: the snippet; it stands in the file exactly ``count`` times.
        why: what goes wrong then.
        tests: pytest ids that are run first; the whole suite follows where they pass.
        variant: where drawn cases are the likeliest to notice, the one variant to check.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...] = ()
    variant: str | None = None
    count: int = 1

    @property
    def path(self) -> str:
        """The file, from the repository's root."""
        return f"{_COMPILE}{self.file}.py"

    def applied(self, source: str) -> str:
        """The file's text with the mistake in it.

        Raises:
            StaleMutationError: the passes have moved on, so the mutation has to follow.
        """
        found = source.count(self.old)
        if found != self.count:
            raise StaleMutationError(
                f"update the mutation {self.name!r}: its snippet stands {found} times in "
                f"{self.path}, not {self.count}: {self.old!r}"
            )
        mutated = source.replace(self.old, self.new)
        if mutated == source:
            raise StaleMutationError(f"update the mutation {self.name!r}: it changes nothing")
        try:
            ast.parse(mutated)
        except SyntaxError as error:
            raise StaleMutationError(f"update the mutation {self.name!r}: {error}") from error
        return mutated


def algebra(*names: str) -> tuple[str, ...]:
    """Cases of tests/feature_specs/test_algebra.py."""
    test = "tests/feature_specs/test_algebra.py::test_every_variant_gives_what_the_oracle_gives"
    return tuple(f"{test}[{name}]" for name in names)


def variants(*names: str) -> tuple[str, ...]:
    """Cases of tests/feature_specs/test_variants_agree.py."""
    test = (
        "tests/feature_specs/test_variants_agree.py::test_every_variant_gives_what_the_oracle_gives"
    )
    return tuple(f"{test}[{name}-1]" for name in names)


def certificate(*names: str) -> tuple[str, ...]:
    """Tests of the leak proof."""
    return tuple(f"tests/feature_specs/test_certificate.py::test_{name}" for name in names)


def hashes(*names: str) -> tuple[str, ...]:
    """Tests of the semantic hash."""
    return tuple(f"tests/feature_specs/test_hash.py::test_{name}" for name in names)


def holes(*names: str) -> tuple[str, ...]:
    """Tests written because a mutation once went unnoticed."""
    return tuple(f"tests/mutation/test_holes.py::test_{name}" for name in names)


def proof_holes(*names: str) -> tuple[str, ...]:
    """The same for the leak proof."""
    return tuple(f"tests/mutation/test_proof_holes.py::test_{name}" for name in names)


def step_holes(*names: str) -> tuple[str, ...]:
    """The same for the incremental variant."""
    return tuple(f"tests/mutation/test_step_holes.py::test_{name}" for name in names)


def edges(*names: str) -> tuple[str, ...]:
    """Tests at every instant at which something could change."""
    return tuple(f"tests/mutation/test_edges.py::test_{name}" for name in names)


def forms(*names: str) -> tuple[str, ...]:
    """Views whose interval form must keep its proof."""
    test = "tests/mutation/test_lost_forms.py::test_a_form_has_its_proof"
    return tuple(f"{test}[{name}]" for name in names)


def promised(*names: str) -> tuple[str, ...]:
    """Views whose lowerings must stay valid."""
    test = "tests/mutation/test_lost_forms.py::test_a_lowering_that_is_promised_is_valid"
    return tuple(f"{test}[{name}]" for name in names)


TIES = ("tests/feature_specs/test_ties.py",)
DRAWN = ("tests/feature_specs/test_drawn_views.py",)
HUGE = (
    "tests/feature_specs/test_drawn_views.py::test_a_huge_float_that_left_the_window_spoils_nothing",
)
