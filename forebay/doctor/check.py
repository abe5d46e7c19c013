"""What a check of `forebay doctor` reports, also when the check itself fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from feature_specs.errors import ForebayError, errors_of
from feature_specs.library_errors import explain, known_errors

Status: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check.

    Attributes:
        check: what was looked at: ``project``, ``lake``, ...
        status: ``ok``; ``warn`` where things work and somebody should know; ``fail`` where something
            does not work.
        said: what is so, in a clause.
        hint: what to do; empty where it is ``ok``.
    """

    check: str
    status: Status
    said: str
    hint: str = ""


def ok(check: str, said: str) -> Diagnosis:
    """A result that needs no action."""
    return Diagnosis(check, "ok", said)


def warn(check: str, said: str, hint: str) -> Diagnosis:
    """A result worth knowing about."""
    return Diagnosis(check, "warn", said, hint)


def fail(check: str, said: str, hint: str) -> Diagnosis:
    """A result that something does not work."""
    return Diagnosis(check, "fail", said, hint)


def findings_of(check: str, look: Callable[[], Iterable[Diagnosis]]) -> Iterator[Diagnosis]:
    """A check's results; an error it meets is a result too, so that the other checks still run."""
    try:
        yield from look()
    except known_errors() as error:
        for each in errors_of(explain(error)):
            yield of_error(check, each)


def of_error(check: str, error: ForebayError) -> Diagnosis:
    """An error as a result."""
    paste = f":\n{error.paste.rstrip()}" if error.paste else ""
    return fail(check, f"{error.where}: {error.what}", f"{error.hint.rstrip(':')}{paste}")
