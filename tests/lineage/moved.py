"""The oracle of column lineage: change one raw column's values, recompute by brute force, see what moves.

It shares no code with the tracer: features come out of the author's SQL over cut copies of the tables.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from feature_specs import compile_view
from feature_specs.errors import ForebayError
from feature_specs.leaf import Leaf
from feature_specs.names import fold_name
from lineage.effects import Effects
from lineage.follow_columns import follow_columns
from tests.feature_specs.oracle import Features, Key, Oracle, Row
from tests.prove.case import Case
from tests.prove.engines import Engines, fill

_INSTANTS = 8
Answers = Mapping[tuple[datetime, float | None], Mapping[Key, Features]]


@dataclass
class Found:
    """What became of one view.

    Attributes:
        missing: features that moved although no edge leads from the column, as text.
        edges: every edge as (feature, leaf, column), and whether any change moved it.
        why: of each edge its effects.
        refused: why the view was passed over; empty where it was not.
    """

    name: str
    missing: list[str] = field(default_factory=list)
    edges: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    why: dict[tuple[str, str, str], frozenset[str]] = field(default_factory=dict)
    refused: str = ""


def hold_to_oracle(case: Case, engines: Engines) -> Found:
    """Trace a case's view, and change each column of its leaves in several ways."""
    found = Found(case.name)
    try:
        compiled = compile_view(case.view, case.leaves)
    except ForebayError as error:
        found.refused = error.what
        return found
    lineage = follow_columns(compiled.draft)
    names = {fold_name(f): f for f in lineage.features}
    read = {leaf.name for leaf in compiled.leaves}
    reached: dict[str, Effects] = {f: lineage.of_feature(f) for f in lineage.features}
    for feature, effects in reached.items():
        for (leaf, column), how in effects.items():
            found.edges[feature, leaf, column] = False
            found.why[feature, leaf, column] = frozenset(e.code for e in how)
    oracle = Oracle(case.view, case.leaves, case.whole_sql, engines.brute, visible=case.visible)
    for given in case.leaves:
        fill(engines.brute, f"raw_{given.name}", given.columns, case.tables[given.name])
    before = _answers(oracle, case)
    if before is None:
        found.refused = "the oracle refuses its data"
        return found
    for source, column, rows in _changes(case):
        if source.name not in read:
            continue
        fill(engines.brute, f"raw_{source.name}", source.columns, rows)
        after = _answers(oracle, case)
        for feature in _moved(before, after) if after is not None else ():
            edge = (names.get(feature, feature), source.name, column)
            if edge in found.edges:
                found.edges[edge] = True
            else:
                found.missing.append(".".join(edge))
        fill(engines.brute, f"raw_{source.name}", source.columns, case.tables[source.name])
    return found


def _answers(oracle: Oracle, case: Case) -> Answers | None:
    """All features at some of the spine's instants; None where an entity has two rows."""
    asked = dict.fromkeys(
        (row[-2], row[-1] if case.asks else None) for row in case.spine if row[-2] is not None
    )
    chosen = list(asked)[:: max(1, len(asked) // _INSTANTS)]
    try:
        return {
            (t, amount): oracle.at(t, lag=case.lag, requests={"amount": amount})
            for t, amount in chosen
        }
    except (AssertionError, duckdb.Error):
        return None  # two rows of one entity, or a number too large: an error in a build too


def _moved(before: Answers, after: Answers) -> Iterator[str]:
    """Features that have another value at any instant of any key; of no row they are null."""
    moved: dict[str, None] = {}
    for asked, was in before.items():
        now = after[asked]
        for key in {*was, *now}:
            old, new = was.get(key, {}), now.get(key, {})
            names = {*old, *new}
            moved |= dict.fromkeys(n for n in names if not _same(old.get(n), new.get(n)))
    yield from sorted(moved)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        # Sums of the same floats in another order.
        return old == new or (old != old and new != new) or abs(old - new) <= 1e-9 * abs(old)
    return bool(old == new)


def _changes(case: Case) -> Iterator[tuple[Leaf, str, list[Row]]]:
    """Each leaf with one column changed: its values shifted, dealt out anew, some of them lost."""
    rng = random.Random(f"changes of {case.name}")
    for leaf in case.leaves:
        rows = list(case.tables[leaf.name])
        for place, column in enumerate(leaf.columns):
            for change in (_shifted, _half_shifted, _dealt, _lost):
                values = change(rng, [row[place] for row in rows])
                yield leaf, column, [_put(r, place, v) for r, v in zip(rows, values, strict=True)]


def _put(row: Row, place: int, value: Any) -> Row:
    return (*row[:place], value, *row[place + 1 :])


def _shifted(rng: random.Random, values: Sequence[Any]) -> list[Any]:
    by = rng.choice((1, 5, 30))
    return [_other(v, by, n) for n, v in enumerate(values)]


def _half_shifted(rng: random.Random, values: Sequence[Any]) -> list[Any]:
    return [_other(v, -7, n) if rng.random() < 0.5 else v for n, v in enumerate(values)]


def _dealt(rng: random.Random, values: Sequence[Any]) -> list[Any]:
    return rng.sample(values, len(values))


def _lost(rng: random.Random, values: Sequence[Any]) -> list[Any]:
    return [None if rng.random() < 0.5 else v for v in values]


def _other(value: Any, by: int, n: int) -> Any:
    """Another value of the type; no two times become one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + by
        case Decimal():
            return value + by
        case str():
            return f"{value}{by}"
        case datetime() if value.year > 9000:
            return value  # which says that it is open
        case datetime():
            return value + timedelta(hours=by, microseconds=n)
        case date():
            return value + timedelta(days=by)
    return value


def explain_spurious(found: Found) -> Mapping[str, int]:
    """Edges that no change moved, by what is likely behind them."""
    out: dict[str, int] = {}
    for edge, moved in found.edges.items():
        if not moved:
            reason = _reason(found.why[edge])
            out[reason] = out.get(reason, 0) + 1
    return out


_DIRECT = frozenset(
    f"{w}{m}" for w in ("IDENTITY", "TRANSFORMATION", "AGGREGATION") for m in ("", "+masking")
)
_REASONS: Sequence[tuple[str, Callable[[frozenset[str]], bool]]] = (
    ("ties alone: no rows tied", lambda codes: all(c.endswith("+tie") for c in codes)),
    ("a condition: the data never came to its edge", lambda codes: not codes & _DIRECT),
    ("a value: hidden by another (max, coalesce, a count, a filter that nothing passes)", bool),
)


def _reason(codes: frozenset[str]) -> str:
    return next(text for text, holds in _REASONS if holds(codes))
