"""Make a training set of a service and a spine: check both, pin the tables, write the statement."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog
from feature_specs.deprecation import deprecated_reads
from feature_specs.durations import parse_duration
from feature_specs.errors import DataError, ForebayError, reworded
from feature_specs.instants import microseconds
from feature_specs.names import fold_name
from feature_specs.time_zones import check_zone
from feature_specs.view import FeatureReference
from forebay.check_query import check_query
from forebay.compilation.current_service import CompiledService, current_service
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from forebay.training.engine import (
    SpineFile,
    SpineQuery,
    SpineReading,
    TrainingEngine,
    open_engine,
)
from forebay.training.number_rows import ROW, write_numbered
from forebay.training.own_rows import SPINE, OwnRows
from forebay.training.pandas_rows import index_hint
from forebay.training.recipe import Recipe, threads_for
from forebay.training.spine_input import read_input
from forebay.training.training_set import TrainingSet
from lakehouse import training_record
from lakehouse.check_spine import check_names, check_spine
from lakehouse.ingest.spine import Spine, choose_instant
from lakehouse.lake import open_lake
from lakehouse.relations import leaf_relations, pin_relations
from lakehouse.retained import check_all_retained, removals
from lakehouse.scan import Pinned
from lakehouse.training_record import file_hash, table_of


@dataclass(frozen=True)
class SetOptions:
    """How a training set is made.

    Attributes:
        timestamp: the spine's column of instants; by default ``event_timestamp``, or its only time.
        lag: a duration by which stored features stand behind the instants.
        timezone: the zone of the spine's instants where they have none.
        engine: what computes it.
        lag_us: the lag in microseconds, in the place of ``lag``.
    """

    timestamp: str | None = None
    lag: str | None = None
    timezone: str | None = None
    engine: str = "duckdb"
    lag_us: int | None = None


def make_training_set(
    project: Project,
    service: str,
    spine: Any,
    options: SetOptions,
    compiled: CompiledService | None = None,
    *,
    guarded: bool = True,
) -> TrainingSet:
    """A service's features for every row of a spine, each as of its own instant.

    The features are those that the project's files define now, whether they are built or not. No
    row is computed yet.

    Args:
        spine: a path, a query, or rows of pandas, polars, Arrow or DuckDB.
        compiled: the service, where it is not the project's own.
        guarded: refuse views that are private to another group; without, its values are not to be
            shown.

    Raises:
        ForbiddenError: a view is private to another group.
        ForebayError: the spine lacks a column, or one has the wrong type.
    """
    if options.timezone is not None:
        check_zone(options.timezone, where="--timezone")
    lag_us = _microseconds(options.lag) if options.lag_us is None else options.lag_us
    compiled = compiled or current_service(project, service)
    entry = compiled.catalog.service(service)
    if entry.no_past:
        what, _, hint = entry.no_past.rpartition(". Hint: ")
        raise DataError(f"no training set can be made of it: {what}", where=entry.file, hint=hint)
    if guarded:
        check_readable(project, compiled.catalog, (view for view, _ in entry.features))
    folder = Path(tempfile.mkdtemp(prefix="forebay"))
    engine = open_engine(options.engine, project, compiled)
    making = _Making(project, service, compiled, engine, options, lag_us)
    try:
        source = read_input(spine, folder)
        if isinstance(source, SpineQuery):
            check_query(project, source.sql)
        if isinstance(source, SpineFile | SpineQuery):
            made = making.of_source(source)
        else:
            made = making.of_rows(source, folder)
        made.keep(folder)
        made.deprecated = tuple(deprecated_reads(compiled.catalog, entry.features))
        return made
    except BaseException:
        engine.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise


@dataclass(frozen=True)
class _Making:
    """What the steps of making one set share."""

    project: Project
    service: str
    compiled: CompiledService
    engine: TrainingEngine
    options: SetOptions
    lag_us: int

    @property
    def catalog(self) -> Catalog:
        return self.compiled.catalog

    @property
    def views(self) -> list[str]:
        return [view for view, _ in self.catalog.service(self.service).features]

    def of_source(self, source: SpineFile | SpineQuery) -> TrainingSet:
        """The set over a spine that the engine reads by itself."""
        spine = self._load(source, self.options.timestamp, self.options.timezone)
        keys = check_spine(self.catalog, self.service, spine.columns, source.named)
        return self._over(spine, {spine.timestamp, *keys}, source.facts)

    def of_rows(self, own: OwnRows, folder: Path) -> TrainingSet:
        """The set over a caller's own rows: the engine is given what features depend on, and the
        rows' numbers, by which features come back beside the columns as they are."""
        check_names(own.names, _features(self.catalog, self.service), SPINE)
        chosen = choose_instant(_kinds(own), self.options.timestamp, SPINE)
        path = folder / "spine.parquet"
        names = self._needed(own, chosen)
        write_numbered(own, names, path)
        source = SpineFile(path, {}, SPINE, numbered=True)
        try:
            spine = self._load(source, chosen, self.options.timezone)
        except ForebayError as error:
            raise reworded(error, str(path), SPINE) from None
        keys = check_spine(
            self.catalog, self.service, {**dict.fromkeys(own.names, ""), **spine.columns}, SPINE
        )
        facts = {"frame": own.kind, "sha256": file_hash(path)}
        made = self._over(spine, {spine.timestamp, *keys}, facts, beside=True)
        made.stand_beside(own, self.engine.in_order(made.sql, made.columns, ROW))
        return made

    def _over(
        self, spine: Spine, keys: set[str], facts: Mapping[str, Any], *, beside: bool = False
    ) -> TrainingSet:
        """The set over a spine that is loaded.

        Args:
            keys: columns of the spine without which a row has no features.
            facts: of the spine, for the record.
            beside: of its columns the set has features alone, which will stand beside others.
        """
        lake = open_lake(self.catalog.lake)
        rows, lost = self.engine.count_rows(spine, keys)
        pinned = _pin_leaves(lake, self.catalog, self.views)
        self._check_retained(spine, pinned)
        recipe = self._recipe()
        sql = self.engine.statement(self.compiled, spine, self.lag_us, pinned)
        types = self.engine.column_types(sql)
        record = self._record(lake, {**facts, "rows": rows}, spine, pinned, types, recipe)
        shown = {n: kind for n, kind in types.items() if not beside or n not in spine.columns}
        return TrainingSet(
            self.project, self.engine, sql, shown, record, rows, lost, self.compiled.changed
        )

    def _check_retained(self, spine: Spine, pinned: Mapping[str, Pinned]) -> None:
        """Refuse a spine that goes back to rows which retention has removed."""
        if not any(removals(table.table) for table in pinned.values()):
            return
        earliest = self.engine.earliest(spine)
        if earliest is not None:
            check_all_retained(self.catalog, self.views, pinned, earliest - self.lag_us, SPINE)

    def _recipe(self) -> Recipe:
        """How the set is computed, by which the engine computes it."""
        entries = [self.catalog.view(name) for name in dict.fromkeys(self.views)]
        statement = self.compiled.template
        threads = threads_for(entries, statement)
        if threads:
            self.engine.use_threads(threads)
        types = _agreed_types(self.catalog, self.views)
        return Recipe(self.engine.name, statement, types, threads)

    def _load(
        self, source: SpineFile | SpineQuery, timestamp: str | None, timezone: str | None
    ) -> Spine:
        types = _agreed_types(self.catalog, self.views)
        return self.engine.load_spine(source, SpineReading(timestamp, timezone, types))

    def _needed(self, own: OwnRows, timestamp: str) -> list[str]:
        """The columns that the features depend on. Raises DataError where the index holds one."""
        wanted = {fold_name(timestamp)}
        for name in dict.fromkeys(self.views):
            view = self.catalog.view(name)
            for column in (*view.entities, *view.requests):
                wanted.add(fold_name(column.name))
                hint = index_hint(own.given, column.name)
                if hint and fold_name(column.name) not in map(fold_name, own.names):
                    raise DataError(
                        f"the spine lacks {column.name!r} of feature view {name!r}",
                        where=SPINE,
                        hint=hint,
                    )
        return [name for name in own.names if fold_name(name) in wanted]

    def _record(
        self,
        lake: Lake,
        facts: dict[str, Any],
        spine: Spine,
        pinned: dict[str, Pinned],
        types: dict[str, str],
        recipe: Recipe,
    ) -> training_record.Record:
        reading = training_record.SpineReading(
            self.service, facts, spine.timestamp, self.lag_us, self.options.timezone
        )
        record = training_record.make_record(
            self.catalog, lake, [reading], pinned, types, self.project.root, recipe.as_record()
        )
        beside = self.engine.spine_tables
        if beside:
            record["spine_tables"] = {name: table_of(read) for name, read in beside.items()}
        return record


def _features(catalog: Catalog, service: str) -> list[str]:
    """The columns of a service's features."""
    return [FeatureReference(*named).column for named in catalog.service(service).features]


def _kinds(own: OwnRows) -> dict[str, str]:
    """Of each column whether it is a time, in DuckDB's words. Raises no error of a column."""
    return {name: _kind(own, name) for name in own.names}


def _kind(own: OwnRows, name: str) -> str:
    try:
        kind = own.type_of(name)
    except DataError:
        return ""
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    # Of a column without values any type will do.
    nothing = pa.types.is_null(kind) and fold_name(name) == "event_timestamp"
    return "TIMESTAMP" if nothing else "DATE" if pa.types.is_date(kind) else ""


def _pin_leaves(lake: Lake, catalog: Catalog, views: Iterable[str]) -> dict[str, Pinned]:
    """The tables that views read, as they stand now, by relation."""
    leaves = {name for view in views for name in catalog.view(view).leaves}
    return pin_relations(lake, leaf_relations(catalog.leaves[name] for name in sorted(leaves)))


def _agreed_types(catalog: Catalog, views: list[str]) -> dict[str, str]:
    """Types of keys and request values on which all views agree; a text spine is read by them."""
    found: dict[str, set[str]] = {}
    for name in dict.fromkeys(views):
        for column in (*catalog.view(name).entities, *catalog.view(name).requests):
            found.setdefault(fold_name(column.name), set()).add(column.type)
    return {name: kinds.pop() for name, kinds in found.items() if len(kinds) == 1}


def _microseconds(lag: str | None) -> int:
    if lag is None:
        return 0
    return microseconds(parse_duration(lag, where="--lag", example="15 minutes"))
