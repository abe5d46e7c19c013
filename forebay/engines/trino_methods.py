"""What dbt's Trino adapter is given beside its own methods, so that models reach forebay by it.

dbt-trino has no plugins, as dbt-duckdb has; but a model may call whatever its adapter offers.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import parse_instant
from feature_specs.quote import quoted
from forebay.compilation.current_service import CompiledService
from forebay.engines.connect_engine import ConnectTo
from forebay.training.write_statement import filled, write_on_engine
from lakehouse.check_spine import check_spine
from lakehouse.count_rows import set_properties
from lakehouse.dbt_plugin import NOW_VARIABLE
from lakehouse.duckdb_types import column_types
from lakehouse.engines.compute_there import RowsOnEngine
from lakehouse.engines.copy_spine import copy_spine
from lakehouse.engines.engine_run import EngineRun
from lakehouse.engines.pinned_relations import pinned_relation
from lakehouse.engines.result_types import storable
from lakehouse.feature_tables.materialize import advance_view
from lakehouse.ingest.read_text import INSTANT
from lakehouse.lake import load_table, open_lake
from lakehouse.plans import read_plan
from lakehouse.relations import connect, define_relations, leaf_relations, pin_relations
from lakehouse.training_record import PROPERTY, make_record, readings_of

_NUMBER = "forebay_spine_row"


class TrinoMethods:
    """The methods of one dbt run. All leaves are read at the snapshots of when it began.

    Args:
        services: what `forebay compile` made of each.
        folder: target/forebay.
    """

    def __init__(
        self,
        catalog: Catalog,
        services: Mapping[str, CompiledService],
        folder: Path,
        connect_to: ConnectTo,
        trino_catalog: str,
    ) -> None:
        self._catalog, self._services, self._folder = catalog, services, folder
        self._connect_to, self._trino_catalog = connect_to, trino_catalog
        self._lake = open_lake(catalog.lake)
        self._here = connect(catalog)
        self._pinned = pin_relations(self._lake, leaf_relations(catalog.leaves.values()))
        define_relations(self._here, self._pinned)
        # dbt calls from all of its threads.
        self._lock = threading.Lock()

    def point_in_time(self, service: str, spine: str, timestamp: str, lag_us: int) -> str:
        """Trino's SQL of a service's features over a spine.

        Args:
            spine: Trino's SQL of a relation, to stand in FROM.

        Raises:
            DataError: the spine does not fit the service, or the statement is too large.
        """
        compiled = self._services[service]
        with self._lock, EngineRun(self._lake, self._connect_to) as run:
            columns = self._spine_columns(run, spine)
            check_spine(self._catalog, service, columns, f"spine {spine}")
            if columns.get(timestamp) != INSTANT:
                raise DataError(
                    f"the instant {timestamp!r} is "
                    + (f"a {columns[timestamp]}" if timestamp in columns else "no column of it"),
                    where=f"spine {spine}",
                    hint="name a column of timestamps with time zone in the call, "
                    "point_in_time(..., timestamp='...')",
                )
            none = ", ".join(f"cast(null as {k}) as {quoted(n)}" for n, k in columns.items())
            text = filled(compiled.template, f"(select {none} where false)", timestamp, lag_us)
            types = {n: k for n, k, *_ in self._here.execute(f"describe {text}").fetchall()}
            names = run.engine.names
            read = {r: pinned_relation(names, t) for r, t in self._pinned.items()}
            script = write_on_engine(
                compiled, names, spine, tuple(columns), timestamp, lag_us, read, run.step_prefix()
            )
        if script.create:
            raise DataError(
                "the statement is too large for one",
                where=f"service {service}",
                hint=f"`forebay train {service} --engine trino` runs it in steps",
            )
        items = [names.column(n) for n in columns]
        items += [
            f"{storable(names.column(n), kind, names.engine)} as {names.column(n)}"
            for n, kind in types.items()
            if n not in columns
        ]
        return f"select {', '.join(items)} from (\n{script.query}\n) as answered"

    def build_view(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Bring a feature view's tables forward; says how in ``message`` and ``notes``.

        Raises:
            ForebayError: as the materialization does.
        """
        view = self._view(request)
        with self._lock:
            if request["contract"]:
                self._check_contract(view, request["columns"])
            with EngineRun(self._lake, self._connect_to) as run:
                done = advance_view(
                    self._here,
                    self._lake,
                    view,
                    read_plan(self._folder, view.name),
                    self._pinned,
                    parse_instant(os.environ[NOW_VARIABLE], where="clock"),
                    full_refresh=bool(request["full_refresh"]),
                    compute=partial(RowsOnEngine, run),
                )
        return {
            "message": f"{done.how} on trino {done.upserts} upserts, {done.deletes} deletes, "
            f"{done.rows} rows",
            "notes": [f"in full: {done.refused}"] if done.refused else [],
        }

    def keep_record(self, sql: str, table: str) -> None:
        """Keep with a training set's table what it was made of."""
        with self._lock:
            found = load_table(self._lake, table)
            readings = readings_of(sql)
            if readings:
                types = column_types(found.schema())
                record = make_record(
                    self._catalog, self._lake, readings, self._pinned, types, Path.cwd()
                )
                set_properties(found, {PROPERTY: json.dumps(record)})

    def close(self) -> None:
        """Let go of the connection."""
        self._here.close()

    def _spine_columns(self, run: EngineRun, spine: str) -> dict[str, str]:
        """DuckDB's names and types of a spine's columns, by a table of none of its rows."""
        table = run.new_table()
        source = f"select * from {spine} where false"
        copy_spine(run.engine, source, table, _NUMBER, f"spine {spine}")
        columns = column_types(load_table(self._lake, table).schema())
        del columns[_NUMBER]
        return columns

    def _view(self, request: Mapping[str, Any]) -> ViewEntry:
        catalog, unique_id = self._catalog, request["unique_id"]
        if unique_id in catalog.left_out:
            raise catalog.left_out[unique_id].problem()
        view = next((v for v in catalog.views.values() if v.unique_id == unique_id), None)
        if view is None:
            raise ForebayError(
                "it is not compiled", where=unique_id, hint="run `forebay build` again"
            )
        database, *table = request["table"]
        if database != self._trino_catalog or ".".join(table) != view.table:
            raise ForebayError(
                f"dbt would find it at {'.'.join(request['table'])}, and its rows are in "
                f"{self._trino_catalog}.{view.table}",
                where=view.file,
                hint="let both targets name one schema, and the Trino one the lake's catalog as "
                "`database`",
            )
        return view

    def _check_contract(self, view: ViewEntry, columns: list[Mapping[str, Any]]) -> None:
        """Hold the features to the columns and types that the contract declares.

        Raises:
            DataError: they differ.
        """
        listed = ", ".join(
            f"cast(null as {c['data_type']}) as {quoted(str(c['name']))}" for c in columns
        )
        try:
            found = self._here.execute(f"describe select {listed}").fetchall()
        except duckdb.Error as error:
            raise DataError(
                f"its contract names a type that is not DuckDB's: {error}",
                where=view.file,
                hint="contracts of feature views are in DuckDB's types on every target",
            ) from None
        declared = {str(name): str(kind) for name, kind, *_ in found}
        timed = [view.time_column] if view.time_column else []
        actual = {c.name: c.type for c in view.entities}
        actual |= dict.fromkeys(timed, INSTANT)
        actual |= {f.name: f.type for f in view.features}
        if declared != actual:
            wrong = sorted(dict(declared.items() ^ actual.items()))
            raise DataError(
                f"its contract does not hold for {', '.join(wrong)}",
                where=view.file,
                hint=f"declare {', '.join(f'{n} {actual[n]}' for n in wrong if n in actual) or 'nothing of it'}",
            )


@contextmanager
def offered_to_models(methods: TrinoMethods) -> Iterator[None]:
    """Give dbt's Trino adapter the methods, for the dbt that runs in this process meanwhile."""
    from dbt.adapters.trino.impl import TrinoAdapter

    given: dict[str, Callable[..., Any]] = {
        "forebay_point_in_time": methods.point_in_time,
        "forebay_build_view": methods.build_view,
        "forebay_keep_record": methods.keep_record,
    }
    before = TrinoAdapter._available_
    for name, method in given.items():
        setattr(TrinoAdapter, name, staticmethod(method))
    TrinoAdapter._available_ = before | frozenset(given)
    try:
        yield
    finally:
        TrinoAdapter._available_ = before
        for name in given:
            delattr(TrinoAdapter, name)
        methods.close()
