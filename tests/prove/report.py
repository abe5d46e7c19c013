"""The summary of a run, as a person reads it."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.prove.coverage import CATEGORIES, Coverage

_MOST = 12


def show(console: Console, coverage: Coverage, seconds: float) -> None:
    """Print what was covered."""
    for category in sorted({*CATEGORIES, *coverage.hits}):
        hits = coverage.hits.get(category, Counter())
        names = [
            *CATEGORIES.get(category, ()),
            *(n for n in hits if n not in CATEGORIES.get(category, ())),
        ]
        listed = ", ".join(
            f"{name} {hits[name]}" if hits[name] else f"[bold red]{name} 0[/]" for name in names
        )
        console.print(f"[bold]{category}[/]: {listed}", highlight=False)
    console.print(_shapes(coverage))
    _counts(console, "lowering chosen", coverage.chosen, _MOST)
    _counts(console, "refused", _with_examples(coverage.refused, coverage), 40)
    _counts(console, "failed", _with_examples(coverage.failed, coverage), 40)
    spent = ", ".join(f"{what} {s:.0f} s" for what, s in coverage.seconds.most_common())
    console.print(f"[bold]time[/]: {spent}", highlight=False)
    statuses = ", ".join(f"{n} {status}" for status, n in coverage.statuses.most_common())
    console.print(
        f"[bold]{coverage.cases} cases[/] in {seconds:.0f} s ({coverage.cases / max(seconds, 1e-9):.1f}/s): "
        f"{statuses}; {coverage.decorrelated:.1%} decorrelated, "
        f"{coverage.by_key:.1%} stepped by key, {coverage.non_null:.1%} of "
        f"{coverage.values} expected values not null",
        highlight=False,
    )


def _counts(console: Console, title: str, counts: Counter[str], most: int) -> None:
    if counts:
        console.print(f"[bold]{title}[/]:", highlight=False)
        for name, n in counts.most_common(most):
            console.print(f"  {n:6d}  {name}", highlight=False, markup=False, soft_wrap=True)


def _with_examples(counts: Counter[str], coverage: Coverage) -> Counter[str]:
    return Counter({f"{kind} ({coverage.examples[kind]})": n for kind, n in counts.items()})


def _shapes(coverage: Coverage) -> Table:
    table = Table("shape", "agreed", "of them decorrelated", "refused", "failed", box=None)
    for shape, fates in sorted(coverage.shapes.items(), key=lambda s: -sum(s[1].values())):
        agreed = fates["other"] + fates["decorrelated"]
        row = (agreed, fates["decorrelated"], fates["refused"], fates["failed"])
        table.add_row(shape, *map(str, row))
    return table
