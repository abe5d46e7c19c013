"""Spines that ask at the edges: where a row comes, where it leaves, and a microsecond beside."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from feature_specs import Leaf
from tests.feature_specs.oracle import Row
from tests.prove.grid import US, Grid
from tests.prove.rows import instants

_AMOUNTS = (None, 0.5, 10.0)


def draw_spine(
    rng: random.Random,
    grid: Grid,
    leaves: Sequence[Leaf],
    tables: Mapping[str, Sequence[Row]],
    widths: Sequence[timedelta],
    entities: Sequence[str],
    count: int = 8,
) -> list[Row]:
    """Rows (id, keys..., ts, amount) at up to ``count`` instants, some of them twice."""
    known = [t for leaf in leaves for t in instants(leaf, tables[leaf.name])]
    edges = [timedelta(), timedelta(), timedelta(), *widths]
    asked: list[tuple[Any, ...]] = []
    for _ in range(rng.randrange(count // 2, count + 1)):
        t = rng.choice(known) if known else grid.base
        t = _near(rng, max(t, rng.choice(known) if known else t) + rng.choice(edges))
        amount = rng.choice(_AMOUNTS)
        for k in ("a", rng.choice(("b", "b", "b", "é|1"))):
            keys = {"k": k, "j": rng.choice((1, 1, 1, 2))}
            asked.append((*(keys[e] for e in entities), t, amount))
    asked += rng.sample(asked, 1)
    odd: list[tuple[Any, ...]] = [
        (*(None for _ in entities), asked[0][-2], None),
        (*asked[0][:-2], None, 0.5),
        (*({"k": "z", "j": 9}[e] for e in entities), asked[0][-2], None),
    ]
    asked += rng.sample(odd, rng.choice((1, 1, 1, 2)))
    rng.shuffle(asked)
    return [(i, *row) for i, row in enumerate(asked)]


def _near(rng: random.Random, t: datetime) -> datetime:
    return t + rng.choice((timedelta(), timedelta(), -US, US))
