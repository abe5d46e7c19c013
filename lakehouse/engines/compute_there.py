"""A feature view's rows, computed by an engine that shares the lake.

The engine runs the statements of the view's plan over the leaves at their snapshots, each into a
scratch table; its rows are read into the connection from which they are compared and committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.manifest import ManifestEntry
from sqlglot import exp

from feature_specs.compile.engines import write_steps_for_engine
from feature_specs.compile.parse.read_duckdb import read_duckdb
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.deltas import Deltas, added_relation, kept_relation
from feature_specs.errors import CompileError, DataError, ForebayError
from feature_specs.instants import from_epoch_us
from feature_specs.quote import quoted
from lakehouse.data_files.select_rows import select_rows
from lakehouse.duckdb_types import column_types
from lakehouse.engines.engine_run import EngineRun
from lakehouse.engines.pinned_relations import added_rows, pinned_relation
from lakehouse.engines.result_types import storable
from lakehouse.engines.table_names import TableNames
from lakehouse.feature_tables.compute_rows import RowTask, StepRefusedError
from lakehouse.feature_tables.sum_up import all_sums, changed_spans
from lakehouse.lake import FeatureState, load_table
from lakehouse.scan import Pinned, pin
from lakehouse.stored_types import STORED_AS

#: The leaf as it was at D0.
_WAS = "forebay_was"
_TOUCHED, _FRESH = "forebay_touched", "forebay_fresh"
#: More files that a statement would have to name one by one are not looked for in a step.
MOST_FILES = 2_000


@dataclass(frozen=True)
class _Relation:
    """A relation of a statement.

    Attributes:
        columns: names and DuckDB types.
        sql: the engine's SQL of it, to stand in FROM.
    """

    columns: Mapping[str, str]
    sql: str


class RowsOnEngine:
    """An engine computes; what it made is read from its tables.

    >>> from functools import partial
    >>> compute = partial(RowsOnEngine, run)  # doctest: +SKIP
    """

    def __init__(self, run: EngineRun, asked: RowTask) -> None:
        self._run, self._asked = run, asked
        self._before: FeatureState | None = None
        self._touched: _Relation | None = None

    @property
    def _names(self) -> TableNames:
        return self._run.engine.names

    def compute_all(self) -> None:
        plan, deltas = self._asked.plan, self._asked.plan.deltas
        sql = plan.create
        if deltas is not None:
            sql = all_sums(deltas, self._asked.leaves[deltas.leaf], self._asked.at)
        try:
            self._fill(_FRESH, sql, self._leaves())
        except CompileError as error:
            raise ForebayError(
                f"{self._names.engine} cannot compute it: {error.what}",
                where=self._asked.view.file,
                hint=f"{error.hint}; `--engine duckdb` computes it as it is",
            ) from None

    def compute_touched(
        self, before: FeatureState, added: Mapping[str, Sequence[ManifestEntry]]
    ) -> None:
        self._before = before
        deltas = self._asked.plan.deltas
        for name, files in added.items():
            self._refuse_many(name, files)
        try:
            if deltas is not None:
                self._sum_deltas(deltas, before, added[deltas.leaf])
            else:
                touched = self._asked.plan.touched
                assert touched is not None
                came = {added_relation(name): self._added(name, f) for name, f in added.items()}
                self._fill(_TOUCHED, touched, {**self._leaves(), **came})
        except (CompileError, DataError) as error:
            raise self._refused(error) from None

    def compute_step(self) -> None:
        assert self._touched is not None
        relations = {**self._leaves(), _TOUCHED: self._touched}
        step = self._asked.plan.step
        if not self._asked.run(f"select 1 from {_TOUCHED} limit 1").fetchall():
            types = self._types(self._at_instants(step), relations)
            none = ", ".join(f"cast(null as {kind}) as {quoted(n)}" for n, kind in types.items())
            self._asked.run(f"create or replace temp table {_FRESH} as select {none} limit 0")
            return
        try:
            self._fill(_FRESH, step, relations)
        except (CompileError, DataError) as error:
            raise self._refused(error) from None

    def _sum_deltas(
        self, deltas: Deltas, before: FeatureState, added: Sequence[ManifestEntry]
    ) -> None:
        leaf = self._asked.leaves[deltas.leaf]
        spans = changed_spans(deltas, leaf, before, self._asked.at)
        where = " or ".join(span.where() for span in spans) or "false"
        was = Pinned(leaf.table, before.snapshots.get(deltas.leaf))
        relations = {
            **self._leaves(),
            _WAS: _Relation(self._columns(leaf), pinned_relation(self._names, was)),
            added_relation(deltas.leaf): self._added(deltas.leaf, added),
        }
        kept = f"{kept_relation(deltas.leaf)} as (select * from {_WAS} where {where})"
        self._fill(_TOUCHED, f"with {kept} {deltas.deltas}", relations)

    def _refuse_many(self, name: str, files: Sequence[ManifestEntry]) -> None:
        paths = {e.data_file.file_path for e in files}
        if len(paths) > MOST_FILES and paths != {
            e.data_file.file_path for e in self._asked.leaves[name].files
        }:
            raise StepRefusedError(f"{len(paths):,} files came to {name} since the last build")

    def _refused(self, error: ForebayError) -> StepRefusedError:
        return StepRefusedError(f"{self._names.engine} cannot compute the step: {error.what}")

    def _leaves(self) -> dict[str, _Relation]:
        """The leaves at their snapshots."""
        return {
            name: _Relation(self._columns(pinned), pinned_relation(self._names, pinned))
            for name, pinned in self._asked.leaves.items()
            if name in self._asked.view.leaves
        }

    def _added(self, name: str, files: Sequence[ManifestEntry]) -> _Relation:
        """The rows that came to a leaf. Raises StepRefusedError where the engine finds others."""
        leaf = self._asked.leaves[name]
        rows = added_rows(self._names, leaf, files)
        # Files are told by name, which an engine might spell otherwise; rows would be lost by it.
        wanted = sum(e.data_file.record_count for e in files)
        if files:
            ((found,),) = self._run.engine.run(f"select count(*) from {rows} as came")
            if found != wanted:
                raise StepRefusedError(
                    f"{self._names.engine} finds {found:,} of the {wanted:,} rows that came to {name}"
                )
        return _Relation(self._columns(leaf), rows)

    def _columns(self, leaf: Pinned) -> Mapping[str, str]:
        return column_types(leaf.table.schema())

    def _fill(self, into: str, sql: str, relations: Mapping[str, _Relation]) -> None:
        """Let the engine compute a query, and fill a temporary table with its rows."""
        text = self._at_instants(sql)
        types = self._types(text, relations)
        engine, names = self._run.engine, self._names
        script = write_steps_for_engine(
            text,
            names.engine,
            self._run.step_prefix(),
            schema={name: relation.columns for name, relation in relations.items()},
            relations={name: relation.sql for name, relation in relations.items()},
        )
        columns = ", ".join(
            f"{storable(names.column(name), kind, names.engine)} as f{number}"
            for number, (name, kind) in enumerate(types.items())
        )
        table = self._run.new_table()
        for statement in script.create:
            engine.run(statement)
        engine.run(
            f"create table {names.table(table)} as "
            f"select {columns} from (\n{script.query}\n) as computed"
        )
        for statement in script.drop:
            engine.run(statement)
        computed = pin(load_table(self._run.lake, table)).sql
        read = ", ".join(
            f"cast(f{number} as {kind}) as {quoted(name)}"
            for number, (name, kind) in enumerate(types.items())
        )
        self._asked.run(
            f"create or replace temp table {into} as select {read} from ({computed}) as computed"
        )
        if into == _TOUCHED:
            self._touched = self._table(table, types)

    def _table(self, table: str, types: Mapping[str, str]) -> _Relation:
        """A scratch table under the names of its query's columns."""
        columns = ", ".join(
            f"f{number} as {self._names.column(name)}" for number, name in enumerate(types)
        )
        stored = {name: STORED_AS.get(kind, kind) for name, kind in types.items()}
        return _Relation(stored, f"(select {columns} from {self._names.table(table)})")

    def _types(self, sql: str, relations: Mapping[str, _Relation]) -> dict[str, str]:
        """DuckDB's own names and types of a query's columns."""
        empty = {f"{name}": select_rows(p.table, ()) for name, p in self._asked.leaves.items()}
        known = {added_relation(name): select for name, select in empty.items()}
        if self._asked.plan.deltas is not None:
            known[_WAS] = empty[self._asked.plan.deltas.leaf]
        for name in known.keys() & relations.keys():
            self._asked.run(f"create or replace temp view {name} as {known[name]}")
        found = self._asked.run(f"describe {sql}").fetchall()
        return {name: kind for name, kind, *_ in found}

    def _at_instants(self, sql: str) -> str:
        """A statement with its instants written out, since an engine's tables take no parameters."""
        at = {"as_of": self._asked.at, "before": self._before.at if self._before else None}
        tree = read_duckdb(sql)
        for node in list(tree.find_all(exp.Placeholder, exp.Parameter)):
            us = at.get(str(node.name))
            if us is not None:
                node.replace(exp.Literal.string(from_epoch_us(us).isoformat()))
        return duckdb_sql(tree)
