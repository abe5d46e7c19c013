"""Find an entity in everything a project keeps, erase it, and verify that it is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog as Lake
from pyiceberg.table import Table

from feature_specs.catalog import Catalog
from feature_specs.errors import DataError, ForebayError, UnknownNameError, did_you_mean
from feature_specs.feature_shapes import SHAPES
from feature_specs.progress import Progress
from forebay.builds.write_shapes import write_shapes
from forebay.dbt_project.project import Project
from forebay.erasure.match_statistics import match_statistics
from forebay.erasure.training_files import count_in, erase_in, training_files
from forebay.serve_settings import read_settings
from forebay.training.changes import kept_records
from lakehouse.duckdb_types import column_types
from lakehouse.erase.match_rows import CONTENT, Entity
from lakehouse.erase.rewrite_files import find_entity_rows, remove_rows, rewrite_manifests
from lakehouse.erase.scan_files import names_removed_files, scan_files
from lakehouse.feature_tables.generations import forget_generations
from lakehouse.ingest.quarantine import quarantine_of
from lakehouse.keep_snapshots import forget_snapshots, is_of_set, sets_kept
from lakehouse.lake import load_table, open_lake
from lakehouse.maintain.expire_snapshots import Pins, expire_snapshots
from lakehouse.maintain.free_files import Ages, find_free_files, free_files
from lakehouse.maintain.maintain_table import all_tables, foreign_files
from lakehouse.maintain.pinned import snapshots_of
from lakehouse.relations import tune
from lakehouse.scan import pin
from lakehouse.training_record import read_property
from serving.erase_online import erase_online, find_online
from serving.served.commit_spool import SERVED, commit_spool
from serving.served.match_entity import match_served
from serving.settings import read_secret
from serving.stores import NoStoreError, open_store, view_of

#: Files that no metadata names go once they are so old: a writer at work owns younger ones.
ORPHAN_DAYS = 3.0


@dataclass(frozen=True)
class Location:
    """A place that holds, or held, the entity.

    Attributes:
        kind: ``table``, ``training set``, ``online`` or ``file``.
        rows: of the entity, as readers see them.
        in_files: of the entity in files, older snapshots and rows deleted before included; None
            where that is no question.
    """

    kind: str
    name: str
    rows: int
    in_files: int | None = None


@dataclass(frozen=True)
class NotErased:
    """A place that still holds the entity, or may, and why."""

    name: str
    rows: int | None
    why: str


@dataclass
class Erasure:
    """The outcome of an erasure: where the entity was, and what remains.

    Attributes:
        without: tables that lack a key column, so that nothing of the entity can be told there.
        files: how many were looked into at the end.
    """

    entity: str
    places: list[Location] = field(default_factory=list)
    kept: list[NotErased] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    files: int = 0


@dataclass(frozen=True)
class Request:
    """What is to be erased.

    Attributes:
        training_sets: whether from recorded training sets too, and from the snapshots that these pin.
        files: Parquet files of training sets beside those under target/.
        orphan_days: the age from which files go that no metadata names.
    """

    entity: Entity
    training_sets: bool = False
    files: Sequence[Path] = ()
    orphan_days: float = ORPHAN_DAYS

    @property
    def ages(self) -> Ages:
        """What is kept for readers, and to go back to, goes too."""
        return Ages(timedelta(0), timedelta(days=self.orphan_days), 0)


def erase(
    project: Project, request: Request, report: Progress, *, dry_run: bool = False
) -> Erasure:
    """Erase an entity. What was done of it before is found done, so that a run that was killed is
    finished by the next.

    Raises:
        UnknownNameError: no table has the key columns.
        DataError: nothing says which rows of a view's leaves are the entity's.
    """
    return _Eraser(project, request, report).run(dry_run)


class _Eraser:
    def __init__(self, project: Project, request: Request, report: Progress) -> None:
        self.project, self.request, self.report = project, request, report
        self.entity = request.entity
        self.catalog: Catalog = project.catalog()
        self.lake: Lake = open_lake(project.lake)
        self.made = Erasure(str(request.entity))
        self.settings = read_settings(project, {})
        #: Of each quarantine, and of the log of served vectors, what holds for the entity's rows.
        self._set_aside: dict[str, str] = {}
        self.connection = duckdb.connect()
        tune(self.connection)

    def run(self, dry_run: bool) -> Erasure:
        self._commit_served(dry_run)
        tables = all_tables(self.lake)
        self._set_aside = self._find_set_aside(tables)
        self._served(tables)
        self._set_aside |= match_statistics(tables, self.entity.values)
        chosen = dict(self._choose(tables))
        self._require_leaves(chosen)
        for number, (name, predicate) in enumerate(chosen.items(), 1):
            self._table(name, predicate, dry_run)
            self.report("erase", number, len(chosen))
        self._online(dry_run)
        self._training_files(dry_run)
        if not dry_run:
            self._expire(chosen)
            self._prove(chosen)
            if (self.project.folder / SHAPES).exists():
                write_shapes(self.project)  # what the catalogue draws names frequent values too
        self._tell_origins()
        return self.made

    def _choose(self, tables: Mapping[str, Table]) -> Iterator[tuple[str, str]]:
        """The tables with the entity's key columns, each with the predicate that selects its rows."""
        known: dict[str, None] = {}
        found = False
        for name, table in tables.items():
            known |= dict.fromkeys(column_types(table.schema()))
            beside = self._set_aside.get(name)
            predicate = beside or self.entity.predicate(name, table.schema())
            if predicate is None:
                self.made.without.append(name)
                continue
            found |= beside is None
            yield name, predicate
        if not found:
            first = next(iter(self.entity.values))
            raise UnknownNameError(
                f"no table of the lake has a column {' and '.join(self.entity.values)}",
                where="forebay erase",
                hint=did_you_mean(first, known),
            )

    def _find_set_aside(self, tables: Mapping[str, Table]) -> dict[str, str]:
        """Of each quarantine what holds for the entity's rows, which stand there as JSON."""
        found = {}
        for name, table in tables.items():
            beside = quarantine_of(name)
            held = column_types(tables[beside].schema()) if beside in tables else {}
            predicate = self.entity.predicate_set_aside(name, table.schema())
            if CONTENT in held and predicate is not None:
                found[beside] = predicate
        return found

    def _commit_served(self, dry_run: bool) -> None:
        """Bring what servers have logged into the lake, where it can be erased."""
        folder = Path(str(self.settings.served_folder))
        if not dry_run:
            commit_spool(self.lake, folder)
            if any(folder.glob("*-*")):
                why = "a server writes it: in ten seconds run `forebay served`, and erase again"
                self.made.kept.append(NotErased(str(folder), None, why))

    def _served(self, tables: Mapping[str, Table]) -> None:
        """Add the log of served vectors, whose key columns stand in one of lists."""
        if SERVED not in tables:
            return
        path, values = self.settings.served_secret, self.entity.values
        secret = None if path is None else read_secret(Path(path))
        rows = match_served(tables[SERVED], self.catalog, values, secret)
        self._set_aside[SERVED] = rows.predicate
        self.made.kept += [NotErased(SERVED, None, why) for why in rows.untold]

    def _require_leaves(self, chosen: Mapping[str, str]) -> None:
        """Refuse a view of this entity none of whose leaves has its key columns: a build would bring it back."""
        wanted = {name.lower() for name in self.entity.values}
        for view in self.catalog.views.values():
            leaves = [self.catalog.leaves[name].table for name in view.leaves]
            if wanted <= set(view.keys) and not any(table in chosen for table in leaves):
                key = next(iter(self.entity.values))
                raise DataError(
                    f"none of the tables that feature view {view.name!r} reads has a column "
                    f"{' and '.join(self.entity.values)}: {', '.join(leaves)}",
                    where=view.file,
                    hint=f"say what it is called there: --column {leaves[0]}:{key}=NAME",
                )

    def _table(self, name: str, predicate: str, dry_run: bool) -> None:
        table = load_table(self.lake, name)
        is_set = read_property(table) is not None
        kind = "training set" if is_set else "table"
        found = find_entity_rows(self.connection, pin(table), predicate)
        held = scan_files(self.connection, name, table, self.entity, self._set_aside.get(name))
        self.made.places.append(Location(kind, name, found.living, sum(held.rows.values())))
        if dry_run or (is_set and not self.request.training_sets):
            return
        if table.properties.get("gc.enabled", "true").lower() == "false":
            return  # told by the scan: its files are not ours to delete
        remove_rows(self.connection, table, found, predicate)
        rewrite_manifests(load_table(self.lake, name))

    def _online(self, dry_run: bool) -> None:
        try:
            opened = open_store(self.project.online, readonly=dry_run)
        except NoStoreError:
            return
        with closing(opened) as store:
            for rows in list(find_online(store, self.catalog, self.entity.values)):
                name = view_of(rows.view.name)
                if rows.unknown:
                    self.made.kept.append(NotErased(f"online {name}", None, rows.unknown))
                    continue
                self.made.places.append(Location("online", name, len(rows.keys)))
                if not dry_run:
                    erase_online(store, rows)
            if not dry_run:
                for rows in find_online(store, self.catalog, self.entity.values):
                    if rows.keys:
                        why = "written again meanwhile: stop `forebay stream` and `sync --follow`"
                        name = view_of(rows.view.name)
                        self.made.kept.append(NotErased(f"online {name}", len(rows.keys), why))

    def _training_files(self, dry_run: bool) -> None:
        for path in training_files(self.project, self.request.files):
            found = count_in(path, self.entity)
            if not found:
                continue
            self.made.places.append(Location("file", str(path), found))
            if self.request.training_sets and not dry_run:
                erase_in(path, self.entity)
            elif not dry_run:
                self.made.kept.append(
                    NotErased(str(path), found, "a training set: say --training-sets")
                )

    def _pins(self) -> Pins:
        """Snapshots pinned by training sets; none if those are erased too."""
        if self.request.training_sets:
            return Pins()
        records = kept_records(self.project)
        for table in all_tables(self.lake).values():
            record = read_property(table)
            records += [] if record is None else [record]
        return Pins(read=frozenset(s for record in records for s in snapshots_of(record)))

    def _expire(self, chosen: Mapping[str, str]) -> None:
        pins, tables = self._pins(), all_tables(self.lake)
        if self.request.training_sets:
            for set_id, names in sets_kept(tables).items():
                forget_snapshots(self.lake, set_id, [n for n in names if n in chosen])
        foreign = foreign_files(tables)
        for name in chosen:
            table = load_table(self.lake, name)
            if table.properties.get("gc.enabled", "true").lower() == "false":
                continue
            # A commit of this moment counts as of before.
            now = datetime.now(UTC) + timedelta(milliseconds=10)
            forget_generations(table)
            table = load_table(self.lake, name)
            gone = expire_snapshots(table, pins, now, self.request.ages.snapshots)
            table = load_table(self.lake, name)
            others = [t.location() for other, t in tables.items() if other != name]
            free_files(table, find_free_files(table, gone, now, self.request.ages, foreign, others))

    def _prove(self, chosen: Mapping[str, str]) -> None:
        """Read every remaining file, and report those that still hold the entity."""
        for name in chosen:
            table = load_table(self.lake, name)
            left = scan_files(self.connection, name, table, self.entity, self._set_aside.get(name))
            self.made.files += left.files
            for file, why in left.unread.items():
                self.made.kept.append(NotErased(file, None, f"cannot be read: {why}"))
            if left.rows:
                rows = sum(left.rows.values())
                self.made.kept.append(NotErased(name, rows, self._why(name, table)))
            elif names_removed_files(table):
                why = "older snapshots' manifests may name its values as the least and greatest"
                self.made.kept.append(NotErased(name, 0, f"{why}; {self._why(name, table)}"))

    def _why(self, name: str, table: Table) -> str:
        if table.properties.get("gc.enabled", "true").lower() == "false":
            return "gc.enabled is false: its files are kept by whoever set that"
        if read_property(table) is not None and not self.request.training_sets:
            return "a training set: say --training-sets"
        refs = [n for n in table.metadata.refs if n != "main" and not is_of_set(n)]
        if refs:
            return f"pinned by {', '.join(refs)}: drop the tag or branch, and erase again"
        if len(table.snapshots()) > 1 and not self.request.training_sets:
            return "a recorded training set pins its snapshots: say --training-sets"
        if len(table.snapshots()) > 1:
            return "the table's own settings keep snapshots (history.expire.min-snapshots-to-keep)"
        return (
            "in files that no snapshot names, as a run that was killed leaves them, or written "
            "meanwhile: once no writer is at work, erase again with --orphan-days 0"
        )

    def _tell_origins(self) -> None:
        for leaf in self.catalog.leaves.values():
            if leaf.origin is not None and leaf.table not in self.made.without:
                why = f"copied anew at each build from {leaf.origin.relation}: erase it there too"
                self.made.kept.append(NotErased(leaf.origin.node, None, why))


def read_entity(words: Sequence[str], columns: Sequence[str], catalog: Catalog) -> Entity:
    """The entity that ``[VIEW] NAME=VALUE...`` names.

    Args:
        columns: ``TABLE:NAME=COLUMN`` each, for tables that name a key column otherwise.

    Raises:
        ForebayError: a word is none of that.
    """
    view = words[0] if words and "=" not in words[0] else None
    pairs = words if view is None else words[1:]
    keys = () if view is None else catalog.view(view).keys
    values: dict[str, str] = {}
    for word in pairs:
        name, found, value = word.partition("=")
        if not (found and name and value):
            raise _no_pair(word)
        values[name] = value
    if not values:
        raise _no_pair(" ".join(words))
    if view is not None and {name.lower() for name in values} != set(keys):
        raise DataError(
            f"the keys of feature view {view!r} are {', '.join(keys)}",
            where="forebay erase",
            hint=f"write {' '.join(f'{key}=VALUE' for key in keys)}",
        )
    named: dict[tuple[str, str], str] = {}
    for word in columns:
        place, _, column = word.partition("=")
        table, _, key = place.partition(":")
        if key not in values or not column:
            raise DataError(
                f"{word!r} names no key that is given, or no column",
                where="--column",
                hint=f"write such as --column shop.payments:{next(iter(values))}=cust",
            )
        named[table, key] = column
    return Entity(values, named)


def _no_pair(word: str) -> ForebayError:
    return DataError(
        f"{word!r} is not NAME=VALUE",
        where="forebay erase",
        hint="name the entity by its key columns, such as customer_id=7",
    )
