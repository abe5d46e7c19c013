"""Training sets on an engine that shares the lake: Trino, and whatever else speaks SQL there.

The spine's keys and instants go to a scratch table, numbered; the engine reads the leaves at their
snapshots and writes the features to another; they are read back by number beside the spine, whose
columns never leave this machine. So types and values of the spine stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from feature_specs.catalog import Catalog
from feature_specs.errors import DataError, ForebayError, first_line
from feature_specs.library_errors import explain_text
from feature_specs.names import fold_name
from feature_specs.progress import Share
from feature_specs.quote import quoted
from forebay.compilation.current_service import CompiledService
from forebay.training.copy_to_parquet import copy_to_parquet
from forebay.training.engine import SpineFile, SpineQuery, SpineReading
from forebay.training.exact_columns import arrow_select
from forebay.training.write_statement import filled, write_on_engine
from lakehouse.check_spine import earliest_instant
from lakehouse.commit import commit_rows
from lakehouse.duckdb_types import column_types
from lakehouse.engines.copy_spine import copy_spine
from lakehouse.engines.pinned_relations import pinned_relation
from lakehouse.engines.result_types import storable
from lakehouse.engines.scratch import NAMESPACE, Scratch, drop_dead
from lakehouse.engines.sql_engine import SqlEngine
from lakehouse.ingest.read_text import INSTANT
from lakehouse.ingest.spine import Spine, choose_instant, read_spine
from lakehouse.lake import load_table, open_lake
from lakehouse.relations import connect, tune
from lakehouse.row_stream import RowStream
from lakehouse.scan import Pinned, pin
from lakehouse.stored_types import stored_columns, stored_select

if TYPE_CHECKING:
    from feature_specs.compile.engines import Steps

_SPINE, _ROW = "forebay_spine", "forebay_spine_row"
_ROWS_AT_ONCE = 200_000
#: The share of the work that the engine does; the rest is reading its answer.
_ON_ENGINE = 0.95


@dataclass(frozen=True)
class _Asked:
    """What to run, and what it returns.

    Attributes:
        features: DuckDB types of the features, in order.
        sent: the spine's columns that the engine reads.
    """

    script: Steps
    types: Mapping[str, str]
    features: Mapping[str, str]
    sent: tuple[str, ...]


class LakeEngine:
    """One training set on an engine that is connected to.

    Args:
        connect_to: connects, given the name of the run for the engine's own pages.
    """

    def __init__(self, name: str, catalog: Catalog, connect_to: Callable[[str], SqlEngine]) -> None:
        self.name = name
        self.spine_tables: Mapping[str, Pinned] = {}
        self._catalog = catalog
        self._lake = open_lake(catalog.lake)
        self._scratch = Scratch(self._lake)
        self._engine = connect_to(self._scratch.run)
        self._names = self._engine.names
        self._here = connect(catalog)
        self._asked: _Asked | None = None
        self._answer = ""
        self._forms: dict[str, str] = {}
        self._is_open = self._is_sent = False

    def load_spine(self, source: SpineFile | SpineQuery, reading: SpineReading) -> Spine:
        if isinstance(source, SpineQuery):
            return self._copy_spine(source, reading)
        spine = read_spine(self._here, source.path, **asdict(reading))
        self._here.execute(
            f"create table {_SPINE} as select (row_number() over ())::bigint as {_ROW}, * "
            f"from ({spine.sql})"
        )
        return Spine(f"select * exclude ({_ROW}) from {_SPINE}", spine.columns, spine.timestamp)

    def _copy_spine(self, source: SpineQuery, reading: SpineReading) -> Spine:
        table = self._scratch.name("spine")
        self._open()
        copy_spine(self._engine, source.sql, table, _ROW, source.named)
        copied = load_table(self._lake, table)
        self._here.execute(f"create view {_SPINE} as {pin(copied).sql}")
        columns = column_types(copied.schema())
        del columns[_ROW]
        chosen = choose_instant(columns, reading.timestamp, source.named)
        if columns[chosen] != INSTANT:
            raise DataError(
                f"the instant {chosen!r} is a {columns[chosen]}",
                where=source.named,
                hint="make it a timestamp with time zone in a query: "
                f"--spine \"select ..., with_timezone({chosen}, 'UTC') as {chosen} from ...\"",
            )
        self._is_sent = True
        return Spine(f"select * exclude ({_ROW}) from {_SPINE}", columns, chosen)

    def _open(self) -> None:
        if not self._is_open:
            drop_dead(self._lake, self._engine)
            self._scratch.open()
            self._is_open = True

    def count_rows(self, spine: Spine, needed: set[str]) -> tuple[int, int]:
        nulls = " or ".join(f"{quoted(name)} is null" for name in sorted(needed)) or "false"
        found = self._here.execute(
            f"select count(*), count(*) filter (where {nulls}) from ({spine.sql})"
        ).fetchone()
        assert found is not None
        return int(found[0]), int(found[1])

    def earliest(self, spine: Spine) -> int | None:
        return earliest_instant(self._here, f"({spine.sql})", spine.timestamp)

    def statement(
        self, compiled: CompiledService, spine: Spine, lag_us: int, pinned: Mapping[str, Pinned]
    ) -> str:
        types = self._types(compiled, spine, lag_us, pinned)
        features = {name: kind for name, kind in types.items() if name not in spine.columns}
        script = self._script(compiled, spine, lag_us, pinned, features)
        self._asked = _Asked(script, types, features, self._sent(compiled, spine))
        sql = ";\n".join((*script.create, script.query))
        self._forms[sql] = "{answer}"
        return sql

    def column_types(self, sql: str) -> dict[str, str]:
        assert self._asked is not None
        return dict(self._asked.types)

    def schema(self, sql: str) -> pa.Schema:
        assert self._asked is not None
        types = self._asked.types
        none = ", ".join(f"cast(null as {kind}) as {quoted(n)}" for n, kind in types.items())
        chosen = self._forms[sql].format(answer=f"select {none} limit 0")
        found: pa.Schema = self._reader(
            f"select {self._as_arrow(chosen)} from ({chosen})", 1
        ).schema
        return found

    def in_order(self, sql: str, columns: Sequence[str], by: str) -> str:
        listed = ", ".join(map(quoted, columns)).replace("{", "{{").replace("}", "}}")
        ordered = f"{sql}\n-- {listed} in the order of {by}"
        self._forms[ordered] = f"select {listed} from ({{answer}}) order by {quoted(by)}"
        return ordered

    def batches(self, sql: str, rows: int, report: Share | None) -> Iterator[pa.RecordBatch]:
        chosen = self._forms[sql].format(answer=self._compute(report))
        try:
            yield from self._reader(f"select {self._as_arrow(chosen)} from ({chosen})", rows)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _explained(error) from None
        if report is not None:
            report(1.0)

    def _as_arrow(self, chosen: str) -> str:
        described = self._cursor().execute(f"describe {chosen}").fetchall()
        return arrow_select({name: kind for name, kind, *_ in described})

    def _reader(self, sql: str, rows: int) -> pa.RecordBatchReader:
        found: pa.RecordBatchReader = self._cursor().sql(sql).to_arrow_reader(rows)
        return found

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection beside others that are read from; settings are each connection's own."""
        cursor = self._here.cursor()
        tune(cursor)
        return cursor

    def write_parquet(
        self, sql: str, out: Path, metadata: Mapping[str, str], report: Share | None
    ) -> None:
        chosen = self._forms[sql].format(answer=self._compute(report))
        copy_to_parquet(self._here, chosen, out, metadata)
        if report is not None:
            report(1.0)

    def use_threads(self, threads: int) -> None:
        """The engine has threads of its own."""

    def cancel(self) -> None:
        self._engine.cancel()
        self._here.interrupt()

    def close(self) -> None:
        try:
            self._scratch.drop_all(self._engine)
        finally:
            self._engine.close()
            self._here.close()

    def _types(
        self, compiled: CompiledService, spine: Spine, lag_us: int, pinned: Mapping[str, Pinned]
    ) -> dict[str, str]:
        """DuckDB's own names and types, from its statement over tables without rows."""
        for relation in pinned:
            leaf = next(e for e in compiled.catalog.leaves.values() if e.relation == relation)
            columns = ", ".join(f"{quoted(n)} {kind}" for n, kind in leaf.columns.items())
            self._here.execute(f"create schema if not exists {relation.rpartition('.')[0]}")
            self._here.execute(f"create or replace table {relation} ({columns})")
        sql = filled(compiled.template, f"({spine.sql})", spine.timestamp, lag_us)
        found = self._here.execute(f"describe {sql}").fetchall()
        return {name: kind for name, kind, *_ in found}

    def _sent(self, compiled: CompiledService, spine: Spine) -> tuple[str, ...]:
        """The spine's columns that some view reads, as the spine spells them."""
        views = {view for view, _ in compiled.catalog.service(compiled.service).features}
        entries = [compiled.catalog.view(view) for view in views]
        read = {c.name for entry in entries for c in (*entry.entities, *entry.requests)}
        folded = {fold_name(name) for name in (spine.timestamp, *read)}
        return tuple(name for name in spine.columns if fold_name(name) in folded)

    def _script(
        self,
        compiled: CompiledService,
        spine: Spine,
        lag_us: int,
        pinned: Mapping[str, Pinned],
        features: Mapping[str, str],
    ) -> Steps:
        """The statements of the engine, the last of which reads a number and features f0, f1, ..."""
        script = write_on_engine(
            compiled,
            self._names,
            self._names.table(self._scratch.name("spine")),
            (_ROW, *self._sent(compiled, spine)),
            spine.timestamp,
            lag_us,
            {r: pinned_relation(self._names, table) for r, table in pinned.items()},
            f"{self._names.table(NAMESPACE + '.x').rpartition('.')[0]}.{self._scratch.run}_step_",
        )
        columns = ", ".join(
            f"{storable(self._names.column(name), kind, self._names.engine)} as f{i}"
            for i, (name, kind) in enumerate(features.items())
        )
        query = f"select {_ROW}, {columns} from (\n{script.query}\n) as answered"
        return replace(script, query=query)

    def _compute(self, report: Share | None) -> str:
        """Let the engine compute, once; SQL of the set's rows for the DuckDB of this process."""
        if not self._answer:
            self._answer = self._computed(report)
        return self._answer

    def _computed(self, report: Share | None) -> str:
        asked = self._asked
        assert asked is not None
        self._open()
        if not self._is_sent:
            self._send(asked.sent)
        answer = self._scratch.name("answer")
        created = f"create table {self._names.table(answer)} as\n{asked.script.query}"
        for done, sql in enumerate((*asked.script.create, created)):
            total = len(asked.script.create) + 1
            self._engine.run(sql, None if report is None else _within(report, done, total))
        for sql in asked.script.drop:
            self._engine.run(sql)
        found = pin(load_table(self._lake, answer)).sql
        self._check(found)
        columns = ", ".join(
            f"cast(answered.f{i} as {kind}) as {quoted(name)}"
            for i, (name, kind) in enumerate(asked.features.items())
        )
        return (
            f"select spine.* exclude ({_ROW}), {columns} from {_SPINE} as spine "
            f"join ({found}) as answered using ({_ROW})"
        )

    def _send(self, sent: tuple[str, ...]) -> None:
        """Write the spine's keys and instants to a table of the lake, as they come."""
        named = ", ".join(map(quoted, (_ROW, *sent)))
        relation = self._here.sql(f"select {named} from {_SPINE}")
        kept = stored_select(stored_columns(relation, "spine"), relation)
        sql = f"select {kept} from {_SPINE}"

        def read() -> Iterator[pa.RecordBatch]:
            reader: pa.RecordBatchReader = self._reader(sql, _ROWS_AT_ONCE)
            yield from reader

        empty: pa.Table = self._cursor().sql(f"{sql} limit 0").to_arrow_table()
        rows = RowStream(empty.schema, read)
        commit_rows(self._lake, self._scratch.name("spine"), rows, mode="append")

    def _check(self, answer: str) -> None:
        """Hold the answer to the spine: a row for each of its rows, and no other."""
        counted = self._here.execute(
            f"select count(*), count(distinct {_ROW}), (select count(*) from {_SPINE}) from ({answer})"
        ).fetchone()
        if counted is None or len(set(counted)) != 1:
            raise DataError(
                f"the engine answered {counted and counted[0]} rows for another number of spine rows",
                where=f"engine {self.name}",
                hint="please report it; `--engine duckdb` computes the same",
            )


def _within(report: Share, done: int, total: int) -> Share:
    """What one of several statements reports, as a share of all."""
    return lambda share: report(_ON_ENGINE * (done + share) / total)


def _explained(error: Exception) -> ForebayError:
    return explain_text(str(error)) or DataError(
        first_line(error), where="training set", hint="fix the rows or the query"
    )
