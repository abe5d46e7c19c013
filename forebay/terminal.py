"""What people see: progress on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from feature_specs.counted import counted
from feature_specs.progress import Progress

#: Shows the traceback of an error.
DEBUG_VARIABLE = "FOREBAY_DEBUG"


def wants_colors() -> bool:
    """Whether output may be coloured: on a terminal, unless NO_COLOR is set (no-color.org).

    dbt's own variable for it comes first.
    """
    if "DBT_USE_COLORS" in os.environ:
        return True  # dbt reads it itself
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """A callback (label, done, total): a bar where stderr is a terminal, a line a label elsewhere."""
    if quiet:
        yield lambda label, done, total: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield report


def _lines() -> Progress:
    said: set[str] = set()

    def report(label: str, done: int, total: int) -> None:
        if done >= total and label not in said:
            said.add(label)
            click.echo(f"{label}: {done} of {total}", err=True)

    return report


def emit_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, default=str))


def table(rows: Sequence[Sequence[object]], header: Sequence[str] | None = None) -> str:
    """Rows as aligned text columns."""
    texts = [[str(c) for c in row] for row in ([header] if header else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in texts
    )


def rows_text(rows: int | None) -> str:
    """How many rows a table has, for people."""
    return "an unknown number of rows" if rows is None else counted(rows, "row")


def size_text(size: int) -> str:
    """A number of bytes, for people.

    >>> size_text(900), size_text(41_300_000)
    ('900 B', '41.3 MB')
    """
    for unit, of in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} B"


def as_sql(value: object) -> object:
    """A value as SQL and JSON write it where Python has another word: true, false, null."""
    if isinstance(value, list):
        return "[" + ", ".join(str(as_sql(v)) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {as_sql(v)}" for k, v in value.items()) + "}"
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else value


def complain(errors: Iterable[str]) -> bool:
    """Print the errors of things that failed while others went on; whether there were any."""
    lines = list(errors)
    for line in lines:
        click.echo(f"error: {line}", err=True)
    return bool(lines)


def say(text: str = "") -> None:
    """A line for people, on stdout."""
    click.echo(text)
