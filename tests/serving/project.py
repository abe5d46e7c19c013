"""A project with a real lake and a real store, whose feature tables a test writes itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.table import Table

from feature_specs.catalog import Catalog, Column, Feature, ServiceEntry, ViewEntry
from feature_specs.instants import epoch_us
from lakehouse.lake import STATE_PROPERTY, FeatureState, find_table, open_lake
from serving.stores import StoredView
from serving.sync import sync

TZ = "TIMESTAMP WITH TIME ZONE"
UTC_US = pa.timestamp("us", "UTC")


def instant(text: str) -> datetime:
    """A moment of 2013 such as ``07-01T12:00``, UTC."""
    return datetime.fromisoformat(f"2013-{text}").replace(tzinfo=UTC)


def hours(n: float) -> int:
    """Microseconds."""
    return int(n * 3_600_000_000)


def make_view(name: str, **changes: Any) -> ViewEntry:
    """An as-of view of carriers with the columns n and delay, unless told otherwise."""
    base = ViewEntry.of(
        name,
        f"features.{name}",
        semantic_hash="hash1",
        entities=(Column("carrier", "VARCHAR"),),
        stored=(Column("n", "BIGINT"), Column("delay", "DOUBLE")),
        features=(Feature("n", "BIGINT", "flights"), Feature("delay", "DOUBLE")),
        lowering="latest",
        owner="ops",
    )
    return replace(base, **changes)


@dataclass
class Project:
    """Writes tables as a build would."""

    folder: Path
    catalog: Catalog = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = Catalog(
            project="test",
            lake={
                "name": "test",
                "type": "sql",
                "uri": f"sqlite:///{self.folder}/catalog.db",
                "warehouse": f"file://{self.folder}/warehouse",
            },
            online=f"lmdb://{self.folder}/online.lmdb",
            now="2013-07-01T12:00:00Z",
        )

    def add(self, *views: ViewEntry) -> None:
        known = {**self.catalog.views, **{view.name: view for view in views}}
        self.catalog = replace(self.catalog, views=known)

    def service(self, name: str, *features: tuple[str, str]) -> None:
        services = {**self.catalog.services, name: ServiceEntry(name, features)}
        self.catalog = replace(self.catalog, services=services)

    def build(
        self,
        view: ViewEntry,
        rows: pa.Table,
        at: datetime,
        *,
        changes: pa.Table | None = None,
    ) -> None:
        """Write the feature table as of ``at``, and append ``changes`` to its history.

        Without them the history stays behind the table, which is then synced as a whole.
        """
        state = FeatureState(epoch_us(at), view.semantic_hash)
        if changes is not None:
            log = self.table(view.history_table, changes.schema)
            with log.transaction() as transaction:
                transaction.append(changes)
                transaction.set_properties({STATE_PROPERTY: state.dumps()})
        table = self.table(view.table, rows.schema)
        with table.transaction() as transaction:
            transaction.overwrite(rows)
            transaction.set_properties({STATE_PROPERTY: state.dumps()})

    def sync_delays(self, n: int, built: datetime) -> ViewEntry:
        """Add the view ``delays``, build and sync it: carrier AA has ``n`` flights."""
        view = make_view("delays")
        self.add(view)
        self.build(view, carriers({"AA": (n, n / 2)}), built)
        sync(self.catalog)
        return view

    def table(self, name: str, schema: pa.Schema) -> Table:
        lake = open_lake(self.catalog.lake)
        lake.create_namespace_if_not_exists("features")
        found = find_table(lake, name)
        return lake.create_table(name, schema) if found is None else found


def stored_view(name: str, *entities: str) -> StoredView:
    """A view as the store knows it, keyed by carrier unless told otherwise."""
    return StoredView(name, entities or ("carrier",))


def carriers(rows: dict[str | None, tuple[int | None, float | None]]) -> pa.Table:
    """Rows of `make_view`'s view."""
    return pa.table(
        {
            "carrier": pa.array(list(rows), pa.string()),
            "n": pa.array([n for n, _ in rows.values()], pa.int64()),
            "delay": pa.array([delay for _, delay in rows.values()], pa.float64()),
        }
    )


def history(rows: pa.Table, at: list[datetime], deleted: list[bool]) -> pa.Table:
    """The rows with the columns that a history has besides."""
    made = rows.append_column("computed_at", pa.array(at, UTC_US))
    return made.append_column("deleted", pa.array(deleted, pa.bool_()))
