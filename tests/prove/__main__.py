"""``python -m tests.prove N``: draw N cases and hold every variant of each to the oracle."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.prove.check import Outcome, check
from tests.prove.coverage import Coverage
from tests.prove.engines import Engines
from tests.prove.fixtures import write_fixture
from tests.prove.report import show
from tests.prove.run import case_name, prove
from tests.prove.shrink import shrink
from tests.prove.views import draw_case

FAILED, UNCOVERED = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a variant differs, 2 where too little was covered, else 0."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=asked.json)
    if asked.case is not None:
        name = asked.case if ":" in asked.case else case_name(asked.seed, int(asked.case))
        return _one(console, name, asked.shrink)
    coverage, failures, started = Coverage(), [], time.perf_counter()
    stopped = False
    try:
        with _progress(console) as progress:
            task = progress.add_task("", total=asked.n)
            for outcome in prove(asked.seed, asked.n, jobs=asked.jobs, only=asked.only):
                coverage.add(outcome)
                failures += [outcome] if outcome.status == "failed" else []
                progress.update(task, advance=1, description=_so_far(coverage))
    except KeyboardInterrupt:
        stopped = True
    seconds = time.perf_counter() - started
    show(console, coverage, seconds)
    broken = coverage.broken(whole=asked.only is None and not stopped)
    for line in broken:
        console.print(f"[red]{line}[/]", highlight=False)
    if asked.json:
        print(json.dumps(coverage.to_json() | {"seed": asked.seed, "broken": broken}, indent=1))
    if failures:
        _shrink_all(console, failures, asked.shrink)
        return FAILED
    return UNCOVERED if broken else 0


def _shrink_all(console: Console, failures: Sequence[Outcome], most: int) -> None:
    """Shrink the first failure of each kind and shape."""
    by_kind: dict[str, list[Outcome]] = {}
    for outcome in failures:
        shape = next((t for t in sorted(outcome.tags) if t.startswith("shape:")), "")
        by_kind.setdefault(f"{outcome.kind} ({shape})", []).append(outcome)
    kinds = sorted(by_kind.items(), key=lambda item: -len(item[1]))
    for kind, outcomes in kinds[:most]:
        names = ", ".join(o.name for o in outcomes[:5])
        console.rule(f"{len(outcomes)} x {kind} ({names})", align="left", style="red")
        _shrink_one(console, outcomes[0])
    if len(kinds) > most:
        console.print(f"{len(kinds) - most} more kinds were not shrunk: --shrink {len(kinds)}")


def _shrink_one(console: Console, outcome: Outcome) -> None:
    case, last = shrink(draw_case(outcome.name), outcome)
    path = write_fixture(case, last)
    console.print(case.view.sql, highlight=False, markup=False, soft_wrap=True)
    for leaf in case.leaves:
        rows = case.tables[leaf.name]
        console.print(f"{leaf.name}: {len(rows)} rows", highlight=False)
    console.print(last.message, highlight=False, markup=False, soft_wrap=True)
    console.print(f"written to {path}", highlight=False, soft_wrap=True)


def _one(console: Console, name: str, most: int) -> int:
    """Check one case and print all of it."""
    case = draw_case(name)
    outcome = check(case, Engines())
    options = {n: getattr(case.view, n) for n in ("event_time", "ttl", "boundary", "tie_break")}
    for line in (case.view.sql, f"{case.view.entities} {options} lag {case.lag}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(", ".join(sorted(case.tags)), highlight=False, markup=False)
    console.print(f"{outcome.status} {outcome.chosen} {outcome.lowerings}", markup=False)
    console.print(outcome.message, highlight=False, markup=False, soft_wrap=True)
    if outcome.status == "failed" and most:
        _shrink_one(console, outcome)
    return FAILED if outcome.status == "failed" else 0


def _so_far(coverage: Coverage) -> str:
    failed = coverage.statuses["failed"]
    return f"[{'red' if failed else 'green'}]{failed} failed[/], {coverage.statuses['refused']} refused"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=2,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=1000, help="how many cases")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other cases")
    parser.add_argument("--jobs", type=int, help="processes; as many as cores by default")
    parser.add_argument("--json", action="store_true", help="print the coverage as JSON")
    parser.add_argument("--only", help="a tag: only cases that have it, e.g. join:left")
    parser.add_argument("--case", help="one case by its number, or SEED:NUMBER")
    parser.add_argument("--shrink", type=int, default=8, help="how many kinds of failure to shrink")
    return parser


if __name__ == "__main__":
    sys.exit(main())
