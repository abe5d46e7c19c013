"""Break the compiler and see which test notices."""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.mutation.copy import Copy
from tests.mutation.mutation import Mutation

#: caught, survived; invalid: it breaks the program, not its meaning; unsure: the test that noticed
#: fails without the mutation too, or none failed before the time was up.
Status = Literal["caught", "survived", "invalid", "unsure"]

SEED = 20240229
#: In the place of a test that noticed: a run that did not end, or did not say what it found.
_TOO_LONG, _UNREAD = "(the time limit)", "(the draw)"
_QUICK, _SLOW = 180.0, 1500.0
_DRAWN, _DRAWN_FIRST = 150, 80
_HOLES = tuple(
    f"test_{n}.py" for n in ("holes", "edges", "proof_holes", "step_holes", "lost_forms")
)
_WIDE = (
    "tests/feature_specs",
    *(f"tests/mutation/{name}" for name in _HOLES),
    "tests/prove/test_fixtures.py",
)
_BLUNT = re.compile(
    r"\b(NameError|ImportError|ModuleNotFoundError|SyntaxError|UnboundLocalError|ParseError"
    r"|ParserException|Parser Error|CatalogException|BinderException|Binder Error)\b"
)


@dataclass(frozen=True)
class Found:
    """The first test that failed."""

    test: str
    message: str


@dataclass(frozen=True)
class Result:
    """What became of a mutation."""

    mutation: Mutation
    status: Status
    test: str
    message: str
    seconds: float


@dataclass
class Hunt:
    """Runs of tests in broken copies, and in one that is not broken.

    Attributes:
        whole: the copy that stays whole.
        wide: whether the whole suite runs where the likeliest tests pass.
    """

    whole: Copy
    wide: bool = True
    _known: dict[str, bool] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def passes_unbroken(self, tests: Iterable[str]) -> list[str]:
        """Run tests in the whole copy; returns those that fail there."""
        names = list(dict.fromkeys(tests))
        reports = list(_run_tests(self.whole, names, _SLOW, first=False)) if names else []
        with self._lock:
            self._known |= {str(r["test"]): bool(r["passed"]) for r in reports}
        return [str(r["test"]) for r in reports if not r["passed"]]

    def judge(self, copy: Copy, mutation: Mutation) -> Result:
        """Break a copy, find the first test that fails, and fix the copy."""
        started = time.perf_counter()
        copy.apply(mutation)
        try:
            found = self._first_failure(copy, mutation)
        finally:
            copy.restore(mutation, self.whole.folder)
        status: Status = "survived"
        if found is not None:
            blunt = _BLUNT.search(found.message) is not None
            status = "invalid" if blunt else "caught" if self._confirmed(copy, found) else "unsure"
        test, message = (found.test, found.message) if found else ("", "")
        return Result(mutation, status, test, message, time.perf_counter() - started)

    def _first_failure(self, copy: Copy, mutation: Mutation) -> Found | None:
        variant = mutation.variant
        stages: list[Callable[[], Found | None]] = []
        if mutation.tests:
            stages.append(lambda: _pytest(copy, mutation.tests, _QUICK))
        if variant is not None:
            stages.append(lambda: _drawn(copy, str(_DRAWN_FIRST), variant))
        if self.wide:
            stages.append(lambda: _pytest(copy, _WIDE, _SLOW))
            stages.append(lambda: _drawn(copy, str(_DRAWN), None))
        for stage in stages:
            found = stage()
            if found is not None:
                return found
        return None

    def _confirmed(self, copy: Copy, found: Found) -> bool:
        """The test passes in an unbroken copy."""
        if found.test in (_TOO_LONG, _UNREAD):
            return False
        with self._lock:
            known = self._known.get(found.test)
        if known is None:
            if found.test.startswith("drawn case "):
                number = int(found.test.rsplit(":", 1)[1])
                known = _drawn(copy, f"{number}:{number + 1}", None) is None
            else:
                known = _pytest(copy, (found.test,), _QUICK) is None
            with self._lock:
                self._known[found.test] = known
        return known


def _pytest(copy: Copy, tests: Iterable[str], seconds: float) -> Found | None:
    for report in _run_tests(copy, tests, seconds, first=True):
        if not report["passed"]:
            return Found(str(report["test"]), str(report["message"]))
    return None


def _run_tests(
    copy: Copy, tests: Iterable[str], seconds: float, *, first: bool
) -> Iterator[dict[str, object]]:
    """A report a test.

    Raises:
        RuntimeError: pytest found nothing to run, such as after a test was renamed.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        names = tuple(tests)
        arguments = ["-m", "pytest", "-q", "-p", "tests.mutation.watch", "-p", "no:cacheprovider"]
        arguments += [*(["-m", "not slow"] if names == _WIDE else []), *(["-x"] if first else [])]
        arguments += names
        ended = copy.run(arguments, seconds, MUTATION_REPORT=file.name)
        yield from map(json.loads, Path(file.name).read_text().splitlines())
    if ended is None:
        yield {"test": _TOO_LONG, "passed": False, "message": f"{seconds:g} s"}
    elif ended.returncode not in (0, 1, 2):
        raise RuntimeError(f"pytest could not run {list(names)}:\n{ended.stdout[-3000:]}")


def _drawn(copy: Copy, numbers: str, variant: str | None) -> Found | None:
    arguments = ["-m", "tests.mutation.drawn", str(SEED), numbers, *([variant] if variant else [])]
    ended = copy.run(arguments, _SLOW)
    if ended is None:
        return Found(_TOO_LONG, f"{_SLOW:g} s")
    if ended.returncode == 0:
        return None
    last = ended.stdout.strip().splitlines()[-1:] or [""]
    try:
        return Found(**json.loads(last[0]))
    except ValueError:
        return Found(_UNREAD, ended.stdout[-2000:])
