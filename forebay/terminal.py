"""What people see: progress on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

Report = Callable[[str, int, int], None]


def wants_colors() -> bool:
    """Whether output may be coloured: on a terminal, unless NO_COLOR is set (no-color.org).

    dbt's own variable for it comes first.
    """
    if "DBT_USE_COLORS" in os.environ:
        return True  # dbt reads it itself
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


@contextmanager
def progress(quiet: bool = False) -> Iterator[Report]:
    """A callback (label, done, total): a bar where stderr is a terminal, a line a label elsewhere."""
    if quiet:
        yield lambda label, done, total: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield report


def _lines() -> Report:
    said: set[str] = set()

    def report(label: str, done: int, total: int) -> None:
        if done >= total and label not in said:
            said.add(label)
            click.echo(f"{label}: {done} of {total}", err=True)

    return report


def emit_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, default=str))


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows as aligned text columns."""
    texts = [[str(c) for c in row] for row in (header, *rows)]
    widths = [max(len(r[i]) for r in texts) for i in range(len(header))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in texts
    )


def complain(errors: Iterable[str]) -> bool:
    """Print the errors of things that failed while others went on; whether there were any."""
    lines = list(errors)
    for line in lines:
        click.echo(f"error: {line}", err=True)
    return bool(lines)


def say(text: str = "") -> None:
    """A line for people, on stdout."""
    click.echo(text)
