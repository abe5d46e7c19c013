"""What a dbt command that failed has to say: an error for each reason, with dbt's own lines below it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from feature_specs.errors import CombinedError, ForebayError, split_hint
from feature_specs.library_errors import MachineError, explain, explain_text, known_errors
from forebay.dbt_project.name_holder import held_error


class DbtError(CombinedError):
    """dbt failed: an error for each reason, which names the nodes that failed for it.

    Attributes:
        results: dbt's own, of each node that it came to; empty where it never began.
    """

    def __init__(self, errors: Sequence[ForebayError], results: Sequence[Any] = ()) -> None:
        super().__init__(errors)
        self.results = results


def explain_dbt(command: str, result: Any, messages: list[str]) -> ForebayError:
    """The error of a failed command.

    Args:
        command: its first word, such as ``build``.
        result: dbt's own.
        messages: what dbt logged as errors, in order.
    """
    problem = result.exception
    if isinstance(problem, ForebayError):
        return problem
    if isinstance(problem, known_errors()) and isinstance(explain(problem), MachineError):
        return explain(problem)
    results = getattr(result.result, "results", None) or []
    failed = [r for r in results if _has_failed(r)]
    if not failed:
        said = _read(str(problem) if problem is not None else " | ".join(messages[:3]))
        return _of_text(said.text) or DbtError([_told(said, f"dbt {command}")], results)
    reasons: dict[str, list[tuple[str, _Said]]] = {}
    for one in failed:
        # A macro that `run-operation` ran has a result without a node.
        name, said = getattr(one, "node", one).unique_id, _read(str(one.message))
        # What stands behind the hint of an error of ours is the list of macros that were called.
        said = said._replace(text=said.text.partition(" > in macro ")[0])
        of_all = _of_text(said.text)
        if of_all is not None:
            return of_all
        reasons.setdefault(_PREFIX.sub("", said.text), []).append((name, said))
    return DbtError(
        [
            _told(
                nodes[0][1] if len(nodes) == 1 else nodes[0][1]._replace(text=reason),
                _listed([n for n, _ in nodes]),
            )
            for reason, nodes in reasons.items()
        ],
        results,
    )


class _Said(NamedTuple):
    """dbt's words in one line, and its lines of the text at fault, if it shows any."""

    text: str
    excerpt: str


#: What dbt and DuckDB write before a node's error.
_PREFIX = re.compile(r"^\w+ Error in \w+ \S+ \([^)]*\) (Invalid Input Error: )?")
#: What dbt, its YAML parser and DuckDB show the text at fault with.
_EXCERPT = re.compile(r"^\s*(LINE \d+:|-{3,}\s*$|\d+ +\||line \d+\s*$)", flags=re.MULTILINE)


def _read(message: str) -> _Said:
    message = re.sub(r"\x1b\[[0-9;]*m", "", message)
    shown = _EXCERPT.search(message)
    words, excerpt = (message, "") if shown is None else _cut(message, shown.start())
    text = " ".join(words.split())
    # Behind a hint of ours DuckDB shows the line of SQL that named the relation.
    return _Said(text, "" if "Hint: " in text else excerpt)


def _cut(message: str, at: int) -> tuple[str, str]:
    lines = textwrap.dedent(message[at:].strip("\n")).splitlines()
    return message[:at], "\n".join(line.rstrip() for line in lines[:_MOST] if line.strip())


#: So many lines of the text at fault are shown.
_MOST = 20


def _of_text(text: str) -> ForebayError | None:
    """What the text of an error says of what stops everything: no room, a database held."""
    said = explain_text(text)
    return held_error(text) or (said if isinstance(said, MachineError) else None)


def _told(read: _Said, where: str) -> ForebayError:
    said = None if "Hint: " in read.text else explain_text(read.text)
    if said is not None:
        return ForebayError(f"{said.where}: {said.what}", where=where, hint=said.hint)
    fault, hint = split_hint(read.text)
    return ForebayError(
        fault[:600] or "dbt failed",
        where=where,
        hint=hint or "fix the file that it names; logs/dbt.log has the whole story",
        excerpt=read.excerpt,
    )


def _listed(names: list[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _has_failed(result: Any) -> bool:
    return str(result.status) in ("error", "fail", "runtime error")
