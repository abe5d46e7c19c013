"""Compare a training set with what its rows would be now, value by value, and say why they differ."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from feature_specs.catalog import Catalog
from feature_specs.errors import DataError
from feature_specs.quote import literal, quoted
from forebay.dbt_project.project import Project
from forebay.training.changes import TrainingChanges, compare
from forebay.training.combine_parts import parts_of, rows_in
from forebay.training.explain_served_set import explain_served_rows
from forebay.training.make_set import SetOptions, make_training_set
from forebay.training.recorded_set import is_parquet, read_recorded
from lakehouse.relations import tune
from lakehouse.same_values import differ
from lakehouse.training_record import Record


@dataclass(frozen=True)
class Difference:
    """One value that is another one now.

    Attributes:
        row: of the file, from 0.
        spine: the row's columns that are not features.
        recorded, now: both as text; None of null.
        why: what explains it; ``unexplained`` where nothing that the record tells of has changed.
    """

    row: int
    spine: Mapping[str, str | None]
    feature: str
    recorded: str | None
    now: str | None
    why: str


@dataclass(frozen=True)
class ComparedSet:
    """A training set beside the same rows as of now.

    Attributes:
        rows, values: how many were compared.
        different: of each feature that has any how many values differ, and why.
        differences: the first of them, by row.
        gone: features that there are no more.
    """

    service: str
    rows: int
    values: int
    different: Mapping[str, tuple[int, str]]
    differences: tuple[Difference, ...]
    gone: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.different and not self.gone


def compare_set(project: Project, path: Path, most: int = 20) -> ComparedSet:
    """Compute a set's rows anew, by the views and from the tables as they are now, and compare.

    Args:
        most: so many differences are given one by one.

    Raises:
        DataError: the file holds no training set, or one of several services.
    """
    if not path.is_file() or not is_parquet(path):
        raise DataError(
            "it is not a Parquet file", where=str(path), hint="name the file of a training set"
        )
    record = read_recorded(path)
    if record.get("others"):
        raise DataError(
            "its model reads several services, whose features are not told apart by the record",
            where=str(path),
            hint="name the file of a set of one service",
        )
    features = {f["name"]: f for f in record["features"]}
    with tempfile.TemporaryDirectory(prefix="forebay") as name, duckdb.connect() as connection:
        tune(connection)
        columns = [n for n in pq.read_schema(path).names if n not in features]
        spine, fresh = Path(name) / "spine.parquet", Path(name) / "now.parquet"
        listed = ", ".join(map(quoted, columns))
        connection.execute(
            f"copy (select {listed} from {rows_in(path)} order by file_row_number) "
            f"to {literal(str(spine))} (format parquet)"
        )
        options = SetOptions(record["timestamp"], None, "UTC", "duckdb", record["lag_us"])
        with make_training_set(project, record["service"], spine, options) as made:
            made.write_rows(fresh, "")
            now, catalog = made.record, project.catalog()
        there = {f["name"] for f in now["features"]}
        both = [n for n in features if n in there]
        why = {n: _why(catalog, record, now, features[n]) for n in both}
        types, types_now = _types(connection, path), _types(connection, fresh)
        tests = {
            n: differ(f"a.{quoted(n)}", f"b.{quoted(n)}", types[n], types_now[n]) for n in both
        }
        joined = f"{rows_in(path)} as a join {rows_in(fresh)} as b using (file_row_number)"
        counts = connection.execute(
            f"select count(*){''.join(f', count(*) filter (where {t})' for t in tests.values())} "
            f"from {joined}"
        ).fetchone()
        assert counts is not None
        rows, *numbers = map(int, counts)
        found = {n: (number, why[n]) for n, number in zip(both, numbers, strict=True) if number}
        differing = {n: tests[n] for n in found}
        first = tuple(_examples(connection, joined, columns, differing, why, most))
    if record.get("served"):
        first = _explained(project, record["service"], first, features)
        found = {n: (number, _kinds(n, first)) for n, (number, _) in found.items()}
    gone = tuple(n for n in features if n not in there)
    return ComparedSet(record["service"], rows, rows * len(both), found, first, gone)


def _types(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    described = connection.execute(f"describe select * from {rows_in(path)}").fetchall()
    return {name: kind for name, kind, *_ in described}


def _examples(
    connection: duckdb.DuckDBPyConnection,
    joined: str,
    columns: list[str],
    tests: Mapping[str, str],
    why: Mapping[str, str],
    most: int,
) -> Iterator[Difference]:
    """The first differences by row, and of a row by name, all from one join."""
    if not tests:
        return
    names = sorted(tests)
    spine = "".join(f", a.{quoted(n)}::varchar" for n in columns)
    values = "".join(
        f", ({tests[n]}), a.{quoted(n)}::varchar, b.{quoted(n)}::varchar" for n in names
    )
    rows = connection.execute(
        f"select file_row_number{spine}{values} from {joined} "
        f"where {' or '.join(f'({tests[n]})' for n in names)} order by file_row_number limit {most}"
    ).fetchall()
    told = 0
    for row, *rest in rows:
        known = dict(zip(columns, rest[: len(columns)], strict=True))
        for n, name in enumerate(names):
            differs, recorded, now = rest[len(columns) + 3 * n :][:3]
            if differs and told < most:
                told += 1
                yield Difference(row, known, name, recorded, now, why[name])


def _explained(
    project: Project,
    service: str,
    differences: Sequence[Difference],
    features: Mapping[str, Mapping[str, Any]],
) -> tuple[Difference, ...]:
    """What was served explained from the log, the lake's tables and the view's own log."""
    if not differences:
        return ()
    rows = [d.spine for d in differences]
    told = explain_served_rows(project, service, rows, [features[d.feature] for d in differences])
    gone = "its row is not in the log of served vectors any more"
    return tuple(replace(d, why=w or gone) for d, w in zip(differences, told, strict=True))


def _kinds(feature: str, differences: Sequence[Difference]) -> str:
    """How often each kind explains the first differences of a feature."""
    kinds = Counter(d.why.partition(", since ")[0] for d in differences if d.feature == feature)
    listed = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return f"served otherwise; of the first ones: {listed}" if listed else "served otherwise"


def _why(catalog: Catalog, record: Record, now: Record, feature: Mapping[str, Any]) -> str:
    """What has changed of a feature since, of what the record tells of."""
    changes = [compare(part, now) for part in parts_of(record)]
    name, view = feature["name"], feature["view"]
    if any(name in c.redefined for c in changes):
        return f"feature view {view} was redefined"
    if any(name in c.retyped for c in changes):
        return "its type is another"
    tables = {catalog.leaves[n].table for n in catalog.view(view).leaves if n in catalog.leaves}
    moved = sorted(tables & _moved(changes))
    if moved:
        return f"rows of {', '.join(moved)} came or went"
    versions = [c.settings[n] for c in changes for n in ("compiler", "forebay") if n in c.settings]
    if versions:
        return f"forebay is another: {versions[0][0]} -> {versions[0][1]}"
    return "unexplained"


def _moved(changes: list[TrainingChanges]) -> set[str]:
    return {table for c in changes for table in c.moved}
