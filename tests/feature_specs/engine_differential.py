"""The cases of the one law on Trino and Spark, held to DuckDB's answers on the same tables.

test_engines_agree.py runs a share of them. All, and drawn ones, a few minutes an engine:

    python -m tests.feature_specs.engine_differential trino spark [--only NAME] [--drawn 200]
"""

from __future__ import annotations

import argparse
import contextlib
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import duckdb

from feature_specs.compile import CompiledView, compile_view
from feature_specs.compile.engines import Engine, write_steps_for_engine
from feature_specs.compile.engines.map.map_types import engine_type_name
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError, ForebayError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs import engine_probes, test_algebra, test_variants_agree, worlds
from tests.feature_specs.oracle import Row, connect, differences, fill, magnitude
from tests.feature_specs.worlds import TZ, instants_of, make_rows, make_spine
from tests.prove.views import draw_case
from tests.servers.engine import EngineError, EngineServer, insert_statements
from tests.servers.spark import spark_server
from tests.servers.trino import trino_server

_SEED, _SPINE_ROWS = 3, 24
_MOST = 3e38
_WIDTHS = (timedelta(hours=1), timedelta(hours=6))
_KEY_TYPES = {"k": "VARCHAR", "j": "INTEGER"}


@dataclass(frozen=True)
class EngineCase:
    """A view to compare on, with its rows and its spine."""

    name: str
    view: FeatureView
    leaves: tuple[Leaf, ...]
    tables: Mapping[str, Sequence[Row]]
    spine: Sequence[Row]
    lag: timedelta = timedelta()

    @property
    def schema(self) -> dict[str, Mapping[str, str]]:
        return {leaf.name: leaf.columns for leaf in self.leaves}

    @property
    def spine_types(self) -> dict[str, str]:
        keys = {e: _KEY_TYPES[e] for e in self.view.entities}
        return {"id": "INTEGER", **keys, "ts": TZ, "amount": "DOUBLE"}

    def statements(
        self, engine: Engine = "duckdb", *, all_lowerings: bool = False
    ) -> Iterator[tuple[str, str]]:
        """What DuckDB runs, each with a name; lowered as is cheapest on the engine."""
        compiled = compile_view(self.view, self.leaves)
        with contextlib.suppress(CompileError):  # the engine can run none, which is told later
            compiled = compiled.for_engine(engine)
        yield "chosen", compiled.point_in_time(lag=self.lag)
        for lowering in LOWERINGS if all_lowerings else ():
            with contextlib.suppress(CompileError):
                yield lowering, compiled.point_in_time(lag=self.lag, lowering=lowering)
        yield "as-of", compiled.as_of(self.instant(compiled))

    def instant(self, compiled: CompiledView) -> datetime:
        times = instants_of(list(self.tables.values())) or [worlds.BASE]
        return times[2 * len(times) // 3]


def cases() -> list[EngineCase]:
    """Those of test_variants_agree and of test_algebra."""
    made = []
    for prefix, given in (("agree", test_variants_agree.CASES), ("algebra", test_algebra.CASES)):
        for case in given:
            name = "".join(c if c.isalnum() else "_" for c in case.name)
            view = FeatureView(name, case.sql, case.entities, **case.options)
            tables = {leaf.name: make_rows(leaf, _SEED) for leaf in case.leaves}
            rows, count = list(tables.values()), len(case.entities)
            spine = make_spine(rows, _WIDTHS, count, _SEED, size=_SPINE_ROWS)
            lag = getattr(case, "lag", timedelta())
            made.append(EngineCase(f"{prefix}: {case.name}", view, case.leaves, tables, spine, lag))
    return made


def drawn_cases(seed: int, count: int) -> Iterator[EngineCase]:
    """The first cases that `make prove` would draw of a seed, less what the compiler refuses."""
    for number in range(count):
        case = draw_case(f"{seed}:{number}")
        try:
            compile_view(case.view, case.leaves).point_in_time(lag=case.lag)
        except ForebayError:
            continue
        yield EngineCase(
            f"drawn {case.name}", case.view, case.leaves, case.tables, case.spine, case.lag
        )


@contextlib.contextmanager
def server_of(engine: str) -> Iterator[EngineServer]:
    with trino_server() if engine == "trino" else spark_server() as server:
        yield server


@dataclass
class Loader:
    """Tables of both sides; those that hold the rows already are left."""

    engine: Engine
    server: EngineServer
    duck: duckdb.DuckDBPyConnection
    _held: dict[str, Any] = field(default_factory=dict)

    def load(self, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        rows = list(rows)
        if self._held.get(name) == (columns, rows):
            return
        fill(self.duck, name, columns, rows)
        create(self.server, self.engine, name, columns, rows)
        self._held[name] = (columns, rows)


def create(
    server: EngineServer, engine: Engine, name: str, columns: Mapping[str, str], rows: Sequence[Row]
) -> None:
    """Make a table of the engine hold these rows."""
    types = [engine_type_name(kind, engine) for kind in columns.values()]
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
    server: EngineServer,
    chosen: Iterable[EngineCase],
    report: Callable[[Result], None],
    *,
    spine_known: bool = True,
    all_lowerings: bool = False,
) -> None:
    """Run cases on the engine and on DuckDB; outcomes are equal, different, refused or failed.

    Each is run as the product runs it: as one statement where that is not too large, else in steps.
    """
    duck = connect()
    loader = Loader(engine, server, duck)
    for case in chosen:
        scale = magnitude(list(case.tables.values()))
        for leaf in case.leaves:
            loader.load(leaf.name, leaf.columns, case.tables[leaf.name])
        loader.load("spine", case.spine_types, case.spine)
        for name, sql in case.statements(engine, all_lowerings=all_lowerings):
            began = time.monotonic()
            spine = list(case.spine_types) if spine_known else None
            result = _held(engine, server, duck, sql, scale, case.name, spine, case.schema)
            report(replace(result, statement=name, seconds=time.monotonic() - began))


def compare_probes(
    engine: Engine, server: EngineServer, report: Callable[[Result], None], every: int = 1
) -> None:
    """Run one small statement for every function of the engines' tables, and for floats.

    Args:
        every: take only every so many of them.
    """
    loader = Loader(engine, server, connect())
    loader.load("probe", engine_probes.COLUMNS, engine_probes.ROWS)
    loader.load("nans", engine_probes.NAN_COLUMNS, engine_probes.NAN_ROWS)
    schema = {"probe": engine_probes.COLUMNS, "nans": engine_probes.NAN_COLUMNS}
    chosen = [*engine_probes.probe_statements(), *engine_probes.nan_statements()]
    for sql in chosen[::every]:
        report(_held(engine, server, loader.duck, sql, 1.0, sql, None, schema))


def _held(
    engine: Engine,
    server: EngineServer,
    duck: duckdb.DuckDBPyConnection,
    sql: str,
    scale: float,
    case: str,
    spine: list[str] | None,
    schema: Mapping[str, Mapping[str, str]],
) -> Result:
    try:
        script = write_steps_for_engine(sql, engine, "fb_step_", spine_columns=spine, schema=schema)
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
    """A hugeint of DuckDB's is a decimal(38, 0) elsewhere; a float of 32 bits comes as short text."""
    if isinstance(actual, float) and isinstance(expected, float) and abs(actual) < _MOST:
        single: float = struct.unpack("f", struct.pack("f", actual))[0]
        return expected if single == expected else actual
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
    parser.add_argument("--drawn", type=int, default=0, help="how many drawn cases besides")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--probes", action="store_true")
    options = parser.parse_args(arguments)
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
            given = chain(cases(), drawn_cases(options.seed, options.drawn))
            compare(
                engine, server, (c for c in given if options.only in c.name), report,
                spine_known=options.spine == "known", all_lowerings=options.all_lowerings,
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
