"""The cases of the one law on Trino and Spark, held to DuckDB's answers on the same tables.

Run by hand, a few minutes an engine (both are fetched into ~/.cache/forebay/engines once):

    python -m tests.feature_specs.engine_differential trino spark [--only NAME] [--spine unknown]

pytest runs it where FOREBAY_ENGINES names the engines (test_engines.py).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from feature_specs.compile import CompiledView, compile_view
from feature_specs.compile.engines import Engine, Steps, write_for_engine, write_steps_for_engine
from feature_specs.compile.engines.map_types import type_name
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs import engine_probes, test_algebra, test_variants_agree, worlds
from tests.feature_specs.engine_servers import (
    EngineError,
    Server,
    insert_statements,
    spark_server,
    trino_server,
)
from tests.feature_specs.oracle import Row, connect, differences, fill, magnitude
from tests.feature_specs.worlds import TZ, instants_of, make_rows, make_spine

_SEED, _SPINE_ROWS = 3, 24
_KEY_TYPES = {"k": "VARCHAR", "j": "INTEGER"}
_LEAVES = (worlds.EVENTS, worlds.DIMS, worlds.VERSIONS, worlds.TRIPS, worlds.CHANGES, worlds.DAYS,
           worlds.LOCAL, worlds.BILLS)  # fmt: skip


@dataclass(frozen=True)
class EngineCase:
    """A view to compare on."""

    name: str
    view: FeatureView
    leaves: tuple[Leaf, ...]
    widths: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(hours=6))
    lag: timedelta = timedelta()

    @property
    def schema(self) -> dict[str, Mapping[str, str]]:
        return {leaf.name: leaf.columns for leaf in self.leaves}

    @property
    def spine_types(self) -> dict[str, str]:
        keys = {e: _KEY_TYPES[e] for e in self.view.entities}
        return {"id": "INTEGER", **keys, "ts": TZ, "amount": "DOUBLE"}

    @property
    def tables(self) -> dict[str, list[Row]]:
        return {leaf.name: make_rows(leaf, _SEED) for leaf in self.leaves}

    @property
    def spine(self) -> list[Row]:
        rows = list(self.tables.values())
        return make_spine(rows, self.widths, len(self.view.entities), _SEED, size=_SPINE_ROWS)

    def statements(self, *, all_lowerings: bool = False) -> Iterator[tuple[str, str]]:
        """What DuckDB runs, each with a name."""
        compiled = compile_view(self.view, self.leaves)
        yield "chosen", compiled.point_in_time(lag=self.lag)
        for lowering in LOWERINGS if all_lowerings else ():
            with contextlib.suppress(CompileError):
                yield lowering, compiled.point_in_time(lag=self.lag, lowering=lowering)
        yield "as-of", compiled.as_of(self.instant(compiled))

    def instant(self, compiled: CompiledView) -> datetime:
        times = instants_of(list(self.tables.values())) or [worlds.BASE]
        return times[2 * len(times) // 3]


def cases() -> list[EngineCase]:
    """Those of test_variants_agree and of test_algebra, and some of the engines' own."""
    made = []
    for prefix, given in (("agree", test_variants_agree.CASES), ("algebra", test_algebra.CASES)):
        for case in given:
            name = "".join(c if c.isalnum() else "_" for c in case.name)
            view = FeatureView(name, case.sql, case.entities, **case.options)
            made.append(
                EngineCase(
                    f"{prefix}: {case.name}",
                    view,
                    case.leaves,
                    lag=getattr(case, "lag", timedelta()),
                )
            )
    return made


@contextlib.contextmanager
def server_of(engine: str) -> Iterator[Server]:
    with trino_server() if engine == "trino" else spark_server() as server:
        yield server


def create(
    server: Server, engine: Engine, name: str, columns: Mapping[str, str], rows: Sequence[Row]
) -> None:
    """Make a table of the engine hold these rows."""
    types = [type_name(kind, engine) for kind in columns.values()]
    mark = "`" if engine == "spark" else '"'
    listed = ", ".join(f"{mark}{c}{mark} {t}" for c, t in zip(columns, types, strict=True))
    server.run(f"drop table if exists {name}")
    server.run(f"create table {name} ({listed}){' using parquet' if engine == 'spark' else ''}")
    for statement in insert_statements(name, types, rows, engine):
        server.run(statement)


@dataclass
class Result:
    case: str
    statement: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0


def compare(
    engine: Engine,
    server: Server,
    chosen: Sequence[EngineCase],
    report: Callable[[Result], None],
    *,
    spine_known: bool = True,
    all_lowerings: bool = False,
    steps: bool = False,
) -> None:
    """Run cases on the engine and on DuckDB; outcomes are equal, different, refused or failed."""
    duck = connect()
    for leaf in _LEAVES:
        rows = make_rows(leaf, _SEED)
        fill(duck, leaf.name, leaf.columns, rows)
        create(server, engine, leaf.name, leaf.columns, rows)
    for case in chosen:
        scale = magnitude(list(case.tables.values()))
        fill(duck, "spine", case.spine_types, case.spine)
        create(server, engine, "spine", case.spine_types, case.spine)
        for name, sql in case.statements(all_lowerings=all_lowerings):
            began = time.monotonic()
            spine = list(case.spine_types) if spine_known else None
            result = _one(engine, server, duck, sql, scale, case, spine, steps)
            report(replace(result, statement=name, seconds=time.monotonic() - began))


def compare_probes(engine: Engine, server: Server, report: Callable[[Result], None]) -> None:
    """Run one small statement for every function of the engines' tables."""
    duck = connect()
    fill(duck, "probe", engine_probes.COLUMNS, engine_probes.ROWS)
    create(server, engine, "probe", engine_probes.COLUMNS, engine_probes.ROWS)
    schema = {"probe": engine_probes.COLUMNS}
    for sql in engine_probes.probe_statements():
        report(_held(engine, server, duck, sql, 1.0, sql, None, schema, steps=False))


def _one(
    engine: Engine,
    server: Server,
    duck: duckdb.DuckDBPyConnection,
    sql: str,
    scale: float,
    case: EngineCase,
    spine: list[str] | None,
    steps: bool,
) -> Result:
    return _held(engine, server, duck, sql, scale, case.name, spine, case.schema, steps=steps)


def _held(
    engine: Engine,
    server: Server,
    duck: duckdb.DuckDBPyConnection,
    sql: str,
    scale: float,
    case: str,
    spine: list[str] | None,
    schema: Mapping[str, Mapping[str, str]],
    *,
    steps: bool,
) -> Result:
    try:
        if steps:
            script = write_steps_for_engine(
                sql, engine, "fb_step_", spine_columns=spine, schema=schema
            )
        else:
            text = write_for_engine(sql, engine, spine_columns=spine, schema=schema)
            script = Steps((), text, ())
    except CompileError as error:
        return Result(case, "", "refused", str(error))
    try:
        for statement in script.create:
            server.run(statement)
        names, rows = server.run(script.query)
    except EngineError as error:
        return Result(case, "", "failed", str(error))
    finally:
        for statement in script.drop:
            server.run(statement)
    answer = duck.execute(sql)
    expected_names = [d[0] for d in answer.description or []]
    if names != expected_names:
        return Result(case, "", "different", f"columns {names}, not {expected_names}")
    ours, theirs = (sorted(map(_plain, r), key=_place) for r in (rows, answer.fetchall()))
    if len(ours) != len(theirs):
        return Result(case, "", "different", f"{len(ours)} rows, not {len(theirs)}")
    for row, expected in zip(ours, theirs, strict=True):
        pairs = zip(row, expected, strict=True)
        wrong = differences(
            dict(zip(names, (_like(a, e) for a, e in pairs), strict=True)),
            dict(zip(names, expected, strict=True)),
            scale,
        )
        if wrong:
            return Result(case, "", "different", f"{expected[:3]}: (actual, expected) = {wrong}")
    return Result(case, "", "equal")


def _plain(row: Row) -> Row:
    return tuple(list(v) if isinstance(v, tuple) else v for v in row)


def _like(actual: Any, expected: Any) -> Any:
    """A hugeint of DuckDB's is a decimal(38, 0) elsewhere."""
    whole = isinstance(actual, Decimal) and actual == actual.to_integral_value()
    return int(actual) if whole and type(expected) is int else actual


def _place(row: Row) -> list[tuple[bool, str]]:
    return [(v is None, f"{v:012d}" if isinstance(v, int) else str(v)) for v in row[:3]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("engines", nargs="+", choices=["trino", "spark"])
    parser.add_argument("--only", default="")
    parser.add_argument("--spine", choices=["known", "unknown"], default="known")
    parser.add_argument("--all-lowerings", action="store_true")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--probes", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [c for c in cases() if options.only in c.name]
    failed = 0
    for engine in options.engines:
        results: list[Result] = []

        def report(result: Result, into: list[Result] = results, on: str = engine) -> None:
            into.append(result)
            if result.outcome != "equal":
                print(
                    f"{on} | {result.case} | {result.statement} | {result.outcome}: {result.detail[:600]}",
                    flush=True,
                )

        with server_of(engine) as server:
            if options.probes:
                compare_probes(engine, server, report)
                chosen = []
            compare(
                engine, server, chosen, report, spine_known=options.spine == "known",
                all_lowerings=options.all_lowerings, steps=options.steps,
            )  # fmt: skip
        counts = {
            o: sum(r.outcome == o for r in results)
            for o in ("equal", "different", "failed", "refused")
        }
        slowest: Any = max(results, key=lambda r: r.seconds)
        print(
            f"{engine}: {counts}; slowest {slowest.case} {slowest.statement} {slowest.seconds:.1f} s"
        )
        failed += counts["different"] + counts["failed"]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
