"""dbt-duckdb's door to the lake: leaves appear as views, feature tables are committed to Iceberg.

Named in profiles.yml as the module of a plugin with alias ``forebay``.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig

from feature_specs.catalog import Catalog, LeafEntry, load_catalog
from feature_specs.errors import ForebayError
from lakehouse.commit import commit_rows
from lakehouse.copy_leaf import LEAVES, Copied, copy_leaf
from lakehouse.duckdb_types import column_types
from lakehouse.instants import parse_instant
from lakehouse.lake import load_table, open_lake
from lakehouse.materialize import advance_view
from lakehouse.plans import read_plan
from lakehouse.relations import define_relations, feature_relation_sql, pin_relations, tune
from lakehouse.scan import Pinned, pin
from lakehouse.training_record import PROPERTY, make_record, readings_of

#: Beats the dbt var, and unlike a var does not make dbt parse the whole project again.
NOW_VARIABLE = "FOREBAY_NOW"

#: Where that instant came from, for people.
CLOCK_VARIABLE = "FOREBAY_CLOCK"


class Plugin(BasePlugin):
    """Leaves in, feature tables and training sets out.

    The leaves are pinned to one snapshot each when dbt connects, so every view of a run sees the
    same data. Those that are dbt nodes are copied, and pinned anew, before the first view of a run
    that reads them; dbt has built them by then.
    """

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self.folder = Path(os.environ.get("DBT_TARGET_PATH", "target")).absolute() / "forebay"
        self.pinned: dict[str, Pinned] = {}
        self.connection: duckdb.DuckDBPyConnection | None = None
        self.compiled_at: int | None = None
        self.lock = threading.Lock()
        self.copying = threading.Lock()
        self.run = ""
        self.copied: set[str] = set()

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        self.connection = conn
        self.compiled_at = None
        self._refresh()

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        tune(cursor)
        # dbt may keep one connection from `compile` to `build`, with a new catalog in between.
        self._refresh()

    def _refresh(self) -> None:
        with self.lock:
            path = self.folder / "catalog.json"
            if self.connection is None or not path.exists():
                return  # nothing compiled yet; forebay_ready() stops a build with the reason
            written = path.stat().st_mtime_ns
            if written == self.compiled_at:
                return
            catalog = self._catalog()
            self.pinned = pin_relations(open_lake(catalog.lake), catalog.relations)
            cursor = self.connection.cursor()
            define_relations(cursor, self.pinned)
            cursor.close()
            self.compiled_at = written

    def store(self, target_config: TargetConfig) -> None:
        """Materialize what a macro asks for in ``config``, and answer in ``config['select']``.

        Raises:
            ForebayError: as the materialization does; dbt reports its one line.
        """
        request: dict[str, Any] = target_config.config
        assert self.connection is not None
        cursor = self.connection.cursor()
        try:
            tune(cursor)
            request["copied"] = []
            if request["kind"] == "leaves":
                catalog = load_catalog(self.folder / LEAVES)
                for leaf in catalog.leaves.values():
                    done = copy_leaf(cursor, open_lake(catalog.lake), leaf)
                    request["copied"] += _notes(leaf, done) if done.how != "missing" else []
            elif request["kind"] == "feature_view":
                self._store_view(cursor, request)
            else:
                self._store_rows(cursor, request)
        finally:
            cursor.close()

    def _store_view(self, cursor: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
        catalog = self._catalog()
        view = next(
            (v for v in catalog.views.values() if v.unique_id == request["unique_id"]), None
        )
        if view is None:
            raise ForebayError(
                "this feature view was not compiled",
                where=str(request["unique_id"]),
                mend="run `forebay compile`",
            )
        lake = open_lake(catalog.lake)
        self._copy_leaves(cursor, catalog, view.leaves, request)
        advance = advance_view(
            cursor,
            lake,
            view,
            read_plan(self.folder, view.name),
            self.pinned,
            _now(request),
            full_refresh=bool(request.get("full_refresh")),
            roles=catalog.leaves,
            clock=_clock(request),
        )
        request["warnings"], request["notes"] = list(advance.warnings), list(advance.notes)
        request["select"] = feature_relation_sql(lake, self.folder, view)
        request["message"] = (
            f"{advance.how} {advance.upserts} upserts, {advance.deletes} deletes, "
            f"{advance.rows} rows"
        )

    def _store_rows(self, cursor: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
        catalog = self._catalog()
        lake = open_lake(catalog.lake)
        self._copy_leaves(cursor, catalog, _leaves_behind(catalog, request["unique_id"]), request)
        relation = cursor.sql(request["sql"])
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        readings = readings_of(request["sql"])
        record = (
            make_record(catalog, lake, readings, self.pinned, types, Path.cwd())
            if readings
            else None
        )
        rows: pa.Table = relation.to_arrow_table()
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
                    done = copy_leaf(cursor, open_lake(catalog.lake), leaf)
                    request["copied"] += _notes(leaf, done)
                    self._pin_anew(cursor, catalog, leaf)
                    self.copied.add(leaf.name)

    def _pin_anew(
        self, cursor: duckdb.DuckDBPyConnection, catalog: Catalog, leaf: LeafEntry
    ) -> None:
        assert leaf.origin is not None
        pinned = pin(load_table(open_lake(catalog.lake), leaf.table))
        if column_types(pinned.table.schema()) != leaf.origin.columns:
            raise ForebayError(
                "its columns are others than when the feature views that read it were compiled",
                where=leaf.origin.node,
                mend="run `forebay build`, or `forebay compile` and then dbt again",
            )
        before = self.pinned.get(leaf.relation)
        if before is None or before.snapshot != pinned.snapshot:
            define_relations(cursor, {leaf.relation: pinned})
            self.pinned[leaf.relation] = pinned

    def _catalog(self) -> Catalog:
        return load_catalog(self.folder / "catalog.json")


def _leaves_behind(catalog: Catalog, training_set: str) -> list[str]:
    """The leaves of all views of a training set's service."""
    services = [s.service for s in catalog.training_sets.values() if s.unique_id == training_set]
    views = {v for s in services if s in catalog.services for v, _ in catalog.services[s].features}
    return sorted({leaf for view in views for leaf in catalog.views[view].leaves})


def _notes(leaf: LeafEntry, done: Copied) -> list[str]:
    """What a run says of a copied leaf: nothing where nothing has changed."""
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


def _now(request: dict[str, Any]) -> datetime:
    text = os.environ.get(NOW_VARIABLE) or request["now"]
    if isinstance(text, datetime):
        return text.astimezone(UTC)
    return parse_instant(str(text), where="var forebay_now")


def _clock(request: dict[str, Any]) -> str:
    if os.environ.get(NOW_VARIABLE):
        return os.environ.get(CLOCK_VARIABLE, NOW_VARIABLE)
    return "the present" if isinstance(request["now"], datetime) else "var forebay_now"
