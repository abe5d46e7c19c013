"""A case's tables as they were written: batches with late, removed and updated rows.

The incremental variant is held to these: after step i its state must equal F(D_i, T_i).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from feature_specs import Leaf
from tests.feature_specs.oracle import Row
from tests.prove.case import Case
from tests.prove.rows import instants


@dataclass(frozen=True)
class Step:
    """What the lakehouse holds when a step runs, and what time it is.

    Attributes:
        at: T of this step; never before that of the step before it, and at times equal to it.
        tables: D of this step, in full.
        added: rows that D has and the step before had not; an update is one of each.
        removed: rows that the step before had and D has not.
    """

    at: datetime
    tables: Mapping[str, Sequence[Row]]
    added: Mapping[str, Sequence[Row]]
    removed: Mapping[str, Sequence[Row]]


def draw_steps(case: Case, count: int = 4, *, rewrites: bool = True) -> list[Step]:
    """The case's rows, written in ``count`` batches.

    Rows come in the order of the time at which they could be read, less some that a commit brings
    later than they say; some batches are empty, some steps stand still in time.

    Args:
        rewrites: whether rows may also be removed and updated.
    """
    rng = random.Random(f"steps of {case.name}")
    times = [t for leaf in case.leaves for t in instants(leaf, case.tables[leaf.name])]
    moments = _moments(rng, times, count)
    written = {
        leaf.name: _batches(rng, leaf, case.tables[leaf.name], moments) for leaf in case.leaves
    }
    tables: dict[str, list[Row]] = {leaf.name: [] for leaf in case.leaves}
    steps: list[Step] = []
    for n, at in enumerate(moments):
        added: dict[str, list[Row]] = {}
        removed: dict[str, list[Row]] = {}
        for leaf in case.leaves:
            rows = tables[leaf.name]
            added[leaf.name] = list(written[leaf.name][n])
            removed[leaf.name] = (
                _rewrite(rng, leaf, rows, added[leaf.name]) if rewrites and n else []
            )
            kept = list(rows)
            for row in removed[leaf.name]:
                kept.remove(row)
            tables[leaf.name] = kept + added[leaf.name]
        steps.append(Step(at, dict(tables), added, removed))
    return steps


def _moments(rng: random.Random, times: Sequence[datetime], count: int) -> list[datetime]:
    if not times:
        return [datetime.fromisoformat("2024-03-01T00:00:00+00:00")] * count
    picked = sorted(rng.choice(times) for _ in range(count))
    for n, (before, at) in enumerate(pairwise(picked), 1):
        if rng.random() < 0.2:
            picked[n] = before  # a step in data with no time
        elif rng.random() < 0.2:
            picked[n] = at + timedelta(microseconds=1)
    picked[-1] = max(picked) + rng.choice((timedelta(), max(times) - min(times)))
    return sorted(picked)


def _batches(
    rng: random.Random, leaf: Leaf, rows: Sequence[Row], moments: Sequence[datetime]
) -> list[list[Row]]:
    """Rows by the step that brings them: at once, too early, late, twice or in no order."""
    batches: list[list[Row]] = [[] for _ in moments]
    empty = rng.randrange(len(moments)) if rng.random() < 0.4 else None
    for row in rows:
        known = max(instants(leaf, [row]), default=moments[0])
        due = next((n for n, at in enumerate(moments) if known <= at), len(moments) - 1)
        n = min(len(moments) - 1, due + rng.choice((0, 0, 0, 0, 1, 2)))
        if rng.random() < 0.1:
            n = rng.randrange(len(moments))
        if n == empty:
            n = min(len(moments) - 1, n + 1)
        batches[n].append(row)
    for batch in batches:
        rng.shuffle(batch)
    return batches


def _rewrite(rng: random.Random, leaf: Leaf, rows: Sequence[Row], added: list[Row]) -> list[Row]:
    """Rows that go: removed, or written anew with another value (put into ``added``)."""
    gone = [row for row in rows if rng.random() < 0.08]
    # One row of those that are alike goes, not all.
    unique = list(dict.fromkeys(gone))
    names = list(leaf.columns)
    for row in unique:
        if rng.random() < 0.6:
            added.append(_updated(rng, names, leaf, row))
    return unique


def _updated(rng: random.Random, names: Sequence[str], leaf: Leaf, row: Row) -> Row:
    """The row with an integer changed, or a version's end moved."""
    values: list[Any] = list(row)
    if leaf.valid_to is not None and rng.random() < 0.5:
        at = names.index(leaf.valid_to)
        since = values[names.index(leaf.valid_from or "")]
        values[at] = None if values[at] is not None or since is None else since + timedelta(hours=3)
        return tuple(values)
    fixed = {"id", "j", *(leaf.changelog.key if leaf.changelog else ())}
    numbers = [n for n, c in enumerate(names) if leaf.columns[c] == "INTEGER" and c not in fixed]
    values[rng.choice(numbers)] = rng.choice((None, 4, 9))
    return tuple(values)
