"""dbt-duckdb plugin: leaves appear as views, feature tables are committed to Iceberg.

Named in profiles.yml as the module of a plugin with alias ``forebay``.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, LeafEntry, load_catalog
from feature_specs.catalog_file import CatalogFile
from feature_specs.catalog_root import check_root, stands_in
from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import parse_instant
from feature_specs.lake_properties import lake_properties, with_credentials
from feature_specs.library_errors import explain_one, known_errors
from lakehouse.check_current import RECOMPILE, check_services, check_view
from lakehouse.check_spine import check_instants, check_relation
from lakehouse.commit import commit_rows
from lakehouse.content_hash import hash_batches
from lakehouse.copy_leaf import LEAVES, REFUSED, Copied, copy_leaf
from lakehouse.define_each import define_each
from lakehouse.duckdb_types import column_types
from lakehouse.feature_tables.compute_rows import ComputeRows, RowsHere
from lakehouse.feature_tables.materialize import advance_view
from lakehouse.feature_tables.table_owner import other_owner
from lakehouse.lake import load_table, open_lake
from lakehouse.plans import read_plan
from lakehouse.relations import Relations, feature_relation_sql, leaf_relations, tune
from lakehouse.scan import define_relation, pin
from lakehouse.training_record import PROPERTY, SpineReading, make_record, readings_of

#: Beats the dbt var, and unlike a var does not make dbt parse the whole project again.
NOW_VARIABLE = "FOREBAY_NOW"

#: Where that instant came from, for people.
CLOCK_VARIABLE = "FOREBAY_CLOCK"

#: The engine that computes feature views, and the target whose profile says how to reach it.
ENGINE_VARIABLE = "FOREBAY_ENGINE"
ENGINE_TARGET_VARIABLE = "FOREBAY_ENGINE_TARGET"


class Plugin(BasePlugin):
    """Reads leaves; writes feature tables and training sets.

    The leaves are pinned to one snapshot each when dbt connects, so every view of a run sees the
    same data. Those that are dbt nodes are copied, and pinned anew, before the first view of a run
    that reads them; dbt has built them by then.

    A leaf that cannot be read stops what reads it, with its own error, and nothing else.
    """

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self.folder = Path(os.environ.get("DBT_TARGET_PATH", "target")).absolute() / "forebay"
        self.root = self.folder.parent.parent
        self.own_lake = lake_properties(plugin_config, self.root)
        self.relations = Relations()
        self.connection: duckdb.DuckDBPyConnection | None = None
        self.catalog_file = CatalogFile(self.folder / "catalog.json")
        self.defined: Catalog | None = None
        self.lock = threading.Lock()
        self.copying = threading.Lock()
        self.run = ""
        self.copied: set[str] = set()

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        self.connection = conn
        self.defined = None
        self._refresh()

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        tune(cursor)
        # dbt may keep one connection from `compile` to `build`, with a new catalog in between.
        self._refresh()

    def _refresh(self) -> None:
        with self.lock:
            if self.connection is None or not self.catalog_file.path.exists():
                return  # nothing compiled yet; forebay_ready() stops a build with the reason
            catalog = self.catalog_file.load()
            if catalog is self.defined:
                return
            if not stands_in(catalog, self.root):
                return  # copied with the project: `forebay compile` connects too, and fixes it
            wanted = {**catalog.relations, **leaf_relations(catalog.leaves.values())}
            cursor = self.connection.cursor()
            self.relations = define_each(cursor, self._lake(catalog), wanted)
            cursor.close()
            self.defined = catalog

    def store(self, target_config: TargetConfig) -> None:
        """Materialize what a macro asks for in ``config``, and answer in ``config['select']``.

        Raises:
            ForebayError: as the materialization does; dbt reports its one line.
        """
        request: dict[str, Any] = target_config.config
        connection = self.connection
        assert connection is not None
        cursor = connection.cursor()
        try:
            tune(cursor)
            request["copied"] = []
            if request["kind"] == "check":
                self._check(cursor, request)
            elif request["kind"] == "leaves":
                self._copy_asked(cursor, request)
            elif request["kind"] == "feature_view":
                self._store_view(cursor, request)
            else:
                self._store_rows(cursor, request)
        finally:
            cursor.close()

    def computing(self, lake: Lake) -> AbstractContextManager[ComputeRows]:
        """What computes feature views: DuckDB, in dbt's own connection."""
        return nullcontext(RowsHere)

    def _check(self, cursor: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
        """Check what a model of dbt's own materializations reads of a service."""
        catalog = self.compiled()
        check_services(catalog, request["unique_id"], [request["service"]])
        spine = {"relation": request["spine"]}
        reading = SpineReading(request["service"], spine, request["timestamp"])
        check_relation(cursor, catalog, reading, request["unique_id"])

    def _copy_asked(self, cursor: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
        """Copy the leaves that `forebay build` asks for; a refused one does not stop the others."""
        catalog = load_catalog(self.folder / LEAVES)
        refused: dict[str, dict[str, str]] = {}
        for leaf in catalog.leaves.values():
            assert leaf.origin is not None
            try:
                done = copy_leaf(cursor, self._lake(catalog), leaf)
            except known_errors() as error:
                told = explain_one(error)
                refused[leaf.origin.node] = {
                    "what": told.what,
                    "where": str(told.where),
                    "hint": told.hint,
                }
                continue
            request["copied"] += _notes(leaf, done) if done.how != "missing" else []
        (self.folder / REFUSED).write_text(json.dumps(refused))

    def _store_view(self, cursor: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
        catalog = self.compiled()
        view = next(
            (v for v in catalog.views.values() if v.unique_id == request["unique_id"]), None
        )
        if request["unique_id"] in catalog.left_out:
            raise catalog.left_out[request["unique_id"]].problem()
        if view is None:
            raise ForebayError(
                f"feature view {request['unique_id'].split('.', 2)[2]!r} is not compiled yet",
                where=str(request["unique_id"]),
                hint=RECOMPILE,
            )
        check_view(catalog, view.unique_id)
        lake = self._lake(catalog)
        in_full = bool(request.get("full_refresh"))
        owner = other_owner(lake, view, catalog.project, take_over=in_full)
        if owner is not None:
            request["warnings"], request["notes"] = [], []
            request["select"] = feature_relation_sql(lake, self.folder, view)
            request["message"] = f"as project {owner} has built it"
            return
        self._copy_leaves(cursor, catalog, view.leaves, request)
        self._require(catalog, view.leaves)
        with self.computing(lake) as compute:
            advance = advance_view(
                cursor,
                lake,
                view,
                read_plan(self.folder, view.name),
                self.relations.pinned,
                instant_of(request),
                full_refresh=in_full,
                # To look for mistakes is to read the leaves here.
                roles=catalog.leaves if compute is RowsHere else {},
                clock=_clock(request),
                compute=compute,
            )
        request["warnings"], request["notes"] = list(advance.warnings), list(advance.notes)
        if advance.refused:
            request["notes"].append(f"in full: {advance.refused}")
        request["select"] = feature_relation_sql(lake, self.folder, view)
        on = "" if compute is RowsHere else f" on {os.environ[ENGINE_VARIABLE]}"
        request["message"] = (
            f"{advance.how}{on} {advance.upserts} upserts, {advance.deletes} deletes, "
            f"{advance.rows} rows"
        )

    def _store_rows(self, cursor: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
        catalog = self.compiled()
        lake = self._lake(catalog)
        readings = readings_of(request["sql"])
        check_services(catalog, request["unique_id"], [r.service for r in readings])
        for reading in readings:
            check_relation(cursor, catalog, reading, request["unique_id"], request["sql"])
        leaves = _leaves_behind(catalog, readings)
        self._copy_leaves(cursor, catalog, leaves, request)
        self._require(catalog, leaves)
        for reading in readings:
            check_instants(
                cursor,
                catalog,
                reading,
                self.relations.pinned,
                request["unique_id"],
                request["sql"],
            )
        relation = cursor.sql(request["sql"])
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        record = (
            make_record(catalog, lake, readings, self.relations.pinned, types, Path.cwd())
            if readings
            else None
        )
        # In the one order that their values give, so that the hash is of the values alone.
        rows: pa.Table = (relation.order("all") if readings else relation).to_arrow_table()
        if record is not None:
            record["content"]["hash"] = hash_batches(rows.schema, rows.to_batches())
        commit_rows(
            lake,
            request["table"],
            rows,
            mode="replace",
            columns="exact",
            properties={PROPERTY: json.dumps(record)},
        )
        table = load_table(lake, request["table"])
        request["select"] = pin(table).sql
        request["message"] = f"{rows.num_rows} rows"

    def _require(self, catalog: Catalog, leaves: Iterable[str]) -> None:
        """Raise what is wrong with some leaves, as one error: dbt reports one line of a node."""
        relations = [catalog.leaves[name].relation for name in leaves]
        wrong = [self.relations.failed[r] for r in relations if r in self.relations.failed]
        if len(wrong) == 1:
            raise wrong[0]
        if wrong:
            raise DataError(
                "; ".join([wrong[0].what, *(f"{e.where}: {e.what}" for e in wrong[1:])]),
                where=wrong[0].where,
                hint="; ".join(dict.fromkeys(e.hint for e in wrong)),
            )

    def _copy_leaves(
        self,
        cursor: duckdb.DuckDBPyConnection,
        catalog: Catalog,
        names: Iterable[str],
        request: dict[str, Any],
    ) -> None:
        """Copy the dbt nodes among some leaves, each once a run."""
        with self.copying:
            if self.run != request["run"]:
                self.run, self.copied = request["run"], set()
            for leaf in (catalog.leaves[name] for name in names):
                if leaf.origin is not None and leaf.name not in self.copied:
                    done = copy_leaf(cursor, self._lake(catalog), leaf)
                    request["copied"] += _notes(leaf, done)
                    self._pin_anew(cursor, catalog, leaf)
                    self.copied.add(leaf.name)

    def _pin_anew(
        self, cursor: duckdb.DuckDBPyConnection, catalog: Catalog, leaf: LeafEntry
    ) -> None:
        assert leaf.origin is not None
        pinned = pin(load_table(self._lake(catalog), leaf.table))
        if column_types(pinned.table.schema()) != leaf.columns:
            raise ForebayError(
                "its columns are others than when the feature views that read it were compiled",
                where=leaf.origin.node,
                hint="run `forebay build`, or `forebay compile` and then dbt again",
            )
        before = self.relations.pinned.get(leaf.relation)
        if before is None or before.snapshot != pinned.snapshot:
            define_relation(cursor, leaf.relation, pinned)
            self.relations.pinned[leaf.relation] = pinned
            self.relations.failed.pop(leaf.relation, None)

    def _lake(self, catalog: Catalog) -> Lake:
        return open_lake(with_credentials(catalog.lake, self.own_lake))

    def compiled(self) -> Catalog:
        """What was compiled last."""
        catalog = self.catalog_file.load()
        check_root(catalog, self.root)
        return catalog


def _leaves_behind(catalog: Catalog, readings: Iterable[SpineReading]) -> list[str]:
    """The leaves of all views of the services that a training set reads."""
    views = {view for r in readings for view, _ in catalog.service(r.service).features}
    return sorted({leaf for view in views for leaf in catalog.view(view).leaves})


def _notes(leaf: LeafEntry, done: Copied) -> list[str]:
    """Log lines for a copied leaf; none if nothing has changed."""
    if done.how == "unchanged":
        return []
    assert leaf.origin is not None
    name = leaf.origin.node.split(".", 2)[-1]
    if done.how == "missing":
        return [f"{name}: not in the database of this target, so read as it was copied last"]
    note = f"{name}: {done.added} rows came into Iceberg table {leaf.table}"
    if not done.removed:
        return [note]
    note += f", {done.removed} went"
    appended = leaf.written == "append" and leaf.role in ("event", "arrival")
    return [note + (", although it is declared append-only" if appended else "")]


def instant_of(request: dict[str, Any]) -> datetime:
    """T of this run of dbt's: the environment's, else the var's that the request brings."""
    text = os.environ.get(NOW_VARIABLE) or request["now"]
    if isinstance(text, datetime):
        return text.astimezone(UTC)
    return parse_instant(str(text), where="var forebay_now")


def _clock(request: dict[str, Any]) -> str:
    if os.environ.get(NOW_VARIABLE):
        return os.environ.get(CLOCK_VARIABLE, NOW_VARIABLE)
    return "the present" if isinstance(request["now"], datetime) else "var forebay_now"
