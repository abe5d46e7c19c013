"""The oracle of a value's parts: brute force over whole tables with rows taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from feature_specs import compile_view
from feature_specs.compile.variants.find_candidates import find_candidates
from feature_specs.errors import ForebayError
from forebay.why.measure_parts import Candidates, Parts, measure_parts
from serving.verify import near_value
from tests.feature_specs.oracle import Oracle, Row, connect, fill
from tests.prove.case import Case

_MOST = 10_000


@dataclass
class Held:
    """What was found of a case: how many rows were told and left out, and what is wrong."""

    told: int = 0
    shared: int = 0
    left: int = 0
    wrong: tuple[str, ...] = ()


def hold_to_oracle(case: Case, asked: Sequence[Row], most: int = _MOST) -> Held:
    """Measure the parts of features for some spine rows; each is checked by brute force.

    Args:
        most: how many features, and how many rows of each that are told to have no part.
    """
    held = Held()
    try:
        compiled = compile_view(case.view, case.leaves)
    except ForebayError:
        return held
    oracle = Oracle(case.view, case.leaves, case.whole_sql, connect(), visible=case.visible)
    columns = list(case.spine_columns)
    for row in asked:
        ask = dict(zip(columns, row, strict=True))
        key = tuple(ask[e] for e in case.view.entities)
        for feature in [f.name for f in compiled.features][:most]:
            connection = connect()
            for leaf in case.leaves:
                fill(connection, f"whole_{leaf.name}", leaf.columns, case.tables[leaf.name])
                connection.execute(f"create view {leaf.name} as from whole_{leaf.name}")
            fill(connection, "asked", case.spine_columns, [row])
            given = find_candidates(compiled.draft, "asked", "(select ts from asked)")
            statement = compiled.point_in_time("asked", "ts")
            try:
                value = brute(oracle, case, case.tables, key, ask, feature)
            except (AssertionError, duckdb.Error):
                continue  # two rows of one entity, or too large a number: an error in a build too
            leaves = [Candidates(name, sql) for name, sql in given.items()]
            found = measure_parts(connection, statement, feature, leaves, _MOST)
            _check(held, oracle, case, key, ask, feature, found, value, most)
            connection.close()
    return held


def brute(
    oracle: Oracle,
    case: Case,
    tables: Mapping[str, Sequence[Row]],
    key: tuple[Any, ...],
    ask: Mapping[str, Any],
    feature: str,
) -> Any:
    """The feature by brute force over some rows."""
    for leaf in case.leaves:
        oracle.load(leaf, tables[leaf.name])
    at: datetime = ask["ts"]
    return oracle.at(at, requests={"amount": ask["amount"]}).get(key, {}).get(feature)


def _check(
    held: Held,
    oracle: Oracle,
    case: Case,
    key: tuple[Any, ...],
    ask: Mapping[str, Any],
    feature: str,
    found: Parts,
    value: Any,
    most: int,
) -> None:
    def without(name: str, rows: Sequence[Row]) -> Any:
        return brute(oracle, case, {**case.tables, name: rows}, key, ask, feature)

    def wrong(what: str) -> None:
        held.wrong += (f"{case.name} {feature} {key} {ask['ts']}: {what}",)

    if not near_value(found.value, value):
        wrong(f"value {found.value!r}, brute force {value!r}")
    told: dict[str, list[Row]] = {name: [] for name in case.tables}
    for part in found.parts:
        row = tuple(part.row.values())
        told[part.relation].append(row)
        left = _less(case.tables[part.relation], [row])
        if not near_value(part.without, without(part.relation, left)):
            wrong(f"without {row}: told {part.without!r}")
        if part.shared is not near_value(part.without, value):
            wrong(f"{row} is told as shared={part.shared}, without it {part.without!r}")
    held.told += sum(not p.shared for p in found.parts)
    held.shared += sum(p.shared for p in found.parts)
    for name, rows in case.tables.items():
        # Rows that are equal stand for each other: of two one may be told.
        for row in list(dict.fromkeys(_less(rows, told[name])))[:most]:
            held.left += 1
            alone = [p for p in found.parts if not p.shared and tuple(p.row.values()) == row]
            if not alone and not near_value(without(name, _less(rows, [row])), value):
                wrong(f"{name} {row} is not told, and the value is another one without it")
    if not near_value(brute(oracle, case, told, key, ask, feature), value):
        wrong("the rows told are not enough")


def _less(rows: Sequence[Row], gone: Sequence[Row]) -> list[Row]:
    """The rows without some, each as often as it is named."""
    left = list(gone)
    kept = []
    for row in rows:
        if row in left:
            left.remove(row)
        else:
            kept.append(row)
    return kept
