"""Every error a user can meet, built in one place: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
import heapq
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Names that `did_you_mean` compares letter by letter.
_COMPARED = 500


@dataclass(frozen=True)
class Location:
    """A place in a user's file; line and column count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.file] + [str(n) for n in (self.line, self.column) if n is not None]
        return ":".join(parts)


class ForebayError(Exception):
    """A mistake that a user can fix. Printed as one line; the command then exits with code 2.

    Attributes:
        what: the fault, in a clause.
        where: the file, model, table or argument at fault.
        hint: what to write or run instead.
        paste: text of several lines that fixes it, shown below the line; mostly there is none.
        excerpt: lines of the text at fault as another tool shows it, below the line; mostly none.
    """

    def __init__(
        self,
        what: str,
        *,
        where: Location | str,
        hint: str,
        paste: str = "",
        excerpt: str = "",
    ) -> None:
        fault, inner = split_hint(_one_line(what))
        self.what = fault
        self.where = where
        # An error told within another one knows best what fixes it: one line has one hint.
        self.hint = inner or _one_line(hint)
        self.paste = paste
        self.excerpt = excerpt
        below = f"\n{textwrap.indent(excerpt, '  ')}" if excerpt else ""
        below += f"\n\n{paste.rstrip()}" if paste else ""
        super().__init__(f"{self.where}: {self.what}. Hint: {self.hint}{below}")


def reworded(error: ForebayError, old: str, new: str) -> ForebayError:
    """The same error, which says one text for another: for a file that a user knows by another name.

    >>> str(reworded(ForebayError("no room in a.tmp", where="a.tmp", hint="delete"), "a.tmp", "a"))
    'a: no room in a. Hint: delete'
    """
    if old not in str(error):
        return error
    if isinstance(error, CombinedError):
        return CombinedError([reworded(each, old, new) for each in error.errors])
    what, where, hint = (
        text.replace(old, new) for text in (error.what, str(error.where), error.hint)
    )
    return type(error)(what, where=where, hint=hint, paste=error.paste, excerpt=error.excerpt)


class CombinedError(ForebayError):
    """Several mistakes, each of which can be fixed by itself.

    Attributes:
        errors: in the order of the files at fault.
    """

    def __init__(self, errors: Sequence[ForebayError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(
            first.what,
            where=first.where,
            hint=first.hint,
            paste=first.paste,
            excerpt=first.excerpt,
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


def errors_of(error: ForebayError) -> tuple[ForebayError, ...]:
    """The single mistakes that an error consists of."""
    return error.errors if isinstance(error, CombinedError) else (error,)


def raise_all(errors: Iterable[ForebayError]) -> None:
    """Raise all errors as one, each once; do nothing if there are none.

    Raises:
        ForebayError: the one, or CombinedError.
    """
    found = list({str(e): e for error in errors for e in errors_of(error)}.values())
    if len(found) == 1:
        raise found[0]
    if found:
        raise CombinedError(found)


class SpecError(ForebayError):
    """A YAML field, role or declaration that cannot be understood."""


class CompileError(ForebayError):
    """A query that cannot be compiled to variants that agree. Carries the place in the SQL."""

    @property
    def file(self) -> str:
        return self.where.file if isinstance(self.where, Location) else self.where

    @property
    def line(self) -> int | None:
        return self.where.line if isinstance(self.where, Location) else None

    @property
    def column(self) -> int | None:
        return self.where.column if isinstance(self.where, Location) else None

    @property
    def reason(self) -> str:
        return self.what


class UnsafeQueryError(CompileError):
    """A construct whose value at a past instant is not determined by the data visible then."""


class TimeRoleError(CompileError):
    """A leaf whose rows have no declared time of becoming visible."""


class UnknownNameError(ForebayError):
    """A view, feature, service, column or table that does not exist."""


class DataError(ForebayError):
    """Data that breaks what was declared of it: a wrong type, two rows for one entity."""


def split_hint(text: str) -> tuple[str, str | None]:
    """The fault and the hint of an error's text; None where it has no hint.

    >>> split_hint("models/a.sql: no column 'x'. Hint: did you mean 'y'?")
    ("models/a.sql: no column 'x'", "did you mean 'y'?")
    """
    fault, _, hint = text.partition("Hint: ")
    return fault.rstrip(" .") if hint else text, hint.partition(" Hint: ")[0].rstrip(".") or None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest known names, or lists some of them when none is close."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, _alike(name, names), n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not names:
        return "none is defined yet"
    shown = ", ".join(repr(n) for n in names[:8])
    return f"known: {shown}" + (", ..." if len(names) > 8 else "")


def _alike(name: str, names: list[str]) -> list[str]:
    """The names to compare closely, which takes 10 us each: of very many, those that share the most
    pairs of letters."""
    if len(names) <= _COMPARED:
        return names
    pairs = {name[at : at + 2] for at in range(len(name) - 1)}
    return heapq.nlargest(_COMPARED, names, key=lambda known: sum(pair in known for pair in pairs))


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def first_line(error: BaseException) -> str:
    """What another library's error says, without its colours and further lines."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("\n")[0]
