"""``python -m tests.mutation``: break the compiler in every known way; the tests must notice."""

from __future__ import annotations

import argparse
import json
import queue
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from rich.console import Console
from rich.table import Table

from tests.mutation.copy import Copy, make_copy
from tests.mutation.hunt import Hunt, Result
from tests.mutation.mutation import Mutation, StaleMutationError
from tests.mutation.mutations import MUTATIONS

UNNOTICED, UNUSABLE = 1, 2
_COLOURS = {"caught": "green", "survived": "red", "invalid": "yellow", "unsure": "yellow"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a mutation is not caught, 2 where the check itself cannot be trusted."""
    asked = _parser().parse_args(arguments)
    console = Console(stderr=asked.json)
    chosen = [m for m in MUTATIONS if not asked.only or any(o in m.name for o in asked.only)]
    if asked.list:
        for mutation in chosen:
            print(f"{mutation.function}: {mutation.name}: {mutation.why}")
        return 0
    if not chosen:
        console.print(f"no mutation is named like {asked.only}")
        return UNUSABLE
    started = time.perf_counter()
    whole = make_copy()
    try:
        stale = _stale(whole, chosen)
        for message in stale.values():
            console.print(message, markup=False, soft_wrap=True)
        chosen = [m for m in chosen if m.name not in stale]
        if not chosen:
            return UNUSABLE
        hunt = Hunt(whole, wide=not asked.quick)
        failing = hunt.passes_unbroken(t for m in chosen for t in m.tests)
        if failing:
            console.print("these tests fail before anything is broken:", *failing, sep="\n")
            return UNUSABLE
        results = []
        for result in judged(hunt, chosen, asked.jobs):
            results.append(result)
            _tell(console, result, len(results), len(chosen))
    finally:
        shutil.rmtree(whole.folder, ignore_errors=True)
    results.sort(key=lambda r: chosen.index(r.mutation))
    _show(console, results, time.perf_counter() - started)
    if asked.json:
        print(json.dumps([_as_json(r) for r in results], indent=1))
    if any(r.status != "caught" for r in results):
        return UNNOTICED
    return UNUSABLE if stale else 0


def _stale(whole: Copy, mutations: Sequence[Mutation]) -> dict[str, str]:
    """Mutations that no longer apply, and why."""
    found = {}
    for mutation in mutations:
        try:
            mutation.applied(whole.folder)
        except StaleMutationError as error:
            found[mutation.name] = str(error)
    return found


def judged(hunt: Hunt, mutations: Sequence[Mutation], jobs: int) -> Iterator[Result]:
    """The results as they come; each worker breaks and restores a copy of its own."""
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    made = [make_copy(hunt.whole.folder) for _ in range(min(jobs, len(mutations)))]
    for copy in made:
        copies.put(copy)

    def one(mutation: Mutation) -> Result:
        copy = copies.get()
        try:
            return hunt.judge(copy, mutation)
        finally:
            copies.put(copy)

    try:
        with ThreadPoolExecutor(len(made)) as pool:
            futures = [pool.submit(one, m) for m in mutations]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        for copy in made:
            shutil.rmtree(copy.folder, ignore_errors=True)


def _tell(console: Console, result: Result, number: int, count: int) -> None:
    colour = _COLOURS[result.status]
    console.print(
        f"{number}/{count} [{colour}]{result.status}[/] {result.mutation.name} "
        f"({result.seconds:.0f} s)",
        highlight=False,
    )


def _show(console: Console, results: Sequence[Result], seconds: float) -> None:
    table = Table("mutation", "in", "caught by", "s", title="mutation check")
    for result in results:
        colour = _COLOURS[result.status]
        by = _short(result.test) if result.status == "caught" else f"{result.status}: {result.test}"
        cells = (result.mutation.name, result.mutation.function, by, f"{result.seconds:.0f}")
        table.add_row(*cells[:2], f"[{colour}]{by.replace('[', chr(92) + '[')}[/]", cells[3])
    console.print(table)
    for result in results:
        if result.status in ("invalid", "unsure"):
            console.print(f"{result.mutation.name}: {result.message[:600]}", markup=False)
    caught = sum(r.status == "caught" for r in results)
    console.print(f"{caught} of {len(results)} caught in {seconds:.0f} s", highlight=False)


def _short(test: str) -> str:
    return test.removeprefix("tests/").replace("test_every_variant_gives_what_the_oracle_gives", "")


def _as_json(result: Result) -> dict[str, object]:
    mutation = result.mutation
    return {
        "name": mutation.name, "file": mutation.path, "function": mutation.function, "why": mutation.why, "status": result.status,
        "test": result.test, "message": result.message, "seconds": round(result.seconds, 1),
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", action="append", help="mutations whose name holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--list", action="store_true", help="print the mutations and stop")
    parser.add_argument(
        "--quick", action="store_true", help="run only the tests that a mutation names"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
