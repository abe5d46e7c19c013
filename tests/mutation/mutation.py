"""One way to break the compiler, and the tests that are likely to notice it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.definitions import Definition, definitions, parse

ROOT = Path(__file__).parents[2]
_COMPILE = Path("feature_specs/compile")


class StaleMutationError(Exception):
    """The snippet is not in the function as often as it should be."""


@dataclass(frozen=True)
class Mutation:
    """A snippet of a pass, and what a careless author might have written instead.

    Attributes:
        function: where it stands: a function, ``Class.method`` or constant of ``feature_specs/compile``,
            in whichever file. Where several have the name, the snippet tells them apart.
        old: the snippet, however its lines are broken; it stands there exactly ``count`` times.
        why: what goes wrong then.
        tests: pytest ids that are run first; the whole suite follows where they pass.
        variant: where drawn cases are the likeliest to notice, the one variant to check.
    """

    name: str
    function: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...] = ()
    variant: str | None = None
    count: int = 1

    @property
    def path(self) -> str:
        """The file, from the repository's root."""
        return self._found(ROOT).path.relative_to(ROOT).as_posix()

    def applied(self, root: Path = ROOT) -> str:
        """The file's text with the mistake in it.

        Args:
            root: of a checkout, or of a copy of its packages.

        Raises:
            StaleMutationError: the passes have moved on, so the mutation has to follow.
        """
        place = self._found(root)
        source = place.path.read_text()
        body = self._pattern.sub(lambda _: self.new.strip(), source[place.start : place.end])
        mutated = source[: place.start] + body + source[place.end :]
        if mutated == source:
            raise StaleMutationError(f"update the mutation {self.name!r}: it changes nothing")
        try:
            parse(mutated)
        except SyntaxError as error:
            raise StaleMutationError(f"update the mutation {self.name!r}: {error}") from error
        return mutated

    def _found(self, root: Path) -> Definition:
        places = definitions(root / _COMPILE).get(self.function, [])
        counts = [(p, len(self._pattern.findall(p.text))) for p in places]
        holding = [(p, count) for p, count in counts if count]
        if [count for _, count in holding] != [self.count]:
            where = {p.path.name: count for p, count in holding}
            raise StaleMutationError(
                f"update the mutation {self.name!r}: its snippet stands in {self.function} "
                f"{where or 'nowhere'}, not {self.count} times: {self.old!r}"
            )
        return holding[0][0]

    @property
    def _pattern(self) -> re.Pattern[str]:
        """The snippet with any white space between its words and signs."""
        words = re.findall(r"\w+|[^\w\s]", self.old)
        return re.compile(r"\s*".join(map(re.escape, words)))


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


def traced(*names: str) -> tuple[str, ...]:
    """Tests of steps of views whose keys are traced."""
    return tuple(f"tests/mutation/test_traced_steps.py::test_{name}" for name in names)


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
