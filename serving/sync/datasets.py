"""What a sync reads and writes, as OpenLineage datasets."""

from __future__ import annotations

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.names import fold_name
from lakehouse.iceberg_dataset import iceberg_dataset, read_from, written
from lineage.events.column_facet import copied_columns
from lineage.events.encode_event import Dataset
from lineage.events.names import cassandra_table, place, source
from lineage.events.run import Job
from serving.offline import FeatureTable
from serving.stores.cql.address import parse_address
from serving.stores.cql.schema import ROWS
from serving.sync.report import SyncReport

_LMDB = "lmdb://"


def sync_job(catalog: Catalog, view: ViewEntry) -> Job:
    """The job that syncs one view."""
    owner = {"ownership": {"owners": [{"name": view.owner}]}} if view.owner else {}
    return Job(f"{catalog.project}.sync.{view.name}", "SYNC", facets=owner)


def offline_dataset(catalog: Catalog, table: FeatureTable) -> Dataset:
    """The feature table as it was read."""
    view = table.view
    made = iceberg_dataset(
        table.table, catalog.lake, owner=view.owner, description=view.description
    )
    return read_from(table.table, made)


def online_dataset(
    uri: str, view: ViewEntry, offline: Dataset, report: SyncReport | None = None
) -> Dataset:
    """A view's rows in the online store; several views share one table of it, so the view is part
    of the name.

    Args:
        uri: the store's.
        offline: the feature table that its rows are of.
        report: what was written.
    """
    if uri.startswith(_LMDB):
        namespace, store = place(uri.removeprefix(_LMDB))
        name, levels = f"{store}/{view.name}", [("DIRECTORY", store)]
    else:
        address = parse_address(uri)
        host, keyspace = address.hosts[0], address.keyspace
        namespace, name = cassandra_table(host, address.port, keyspace, f"{ROWS}.{view.name}")
        levels = [("KEYSPACE", keyspace), ("TABLE", ROWS)]
    columns = (*view.entities, *view.stored)
    parts = [{"type": kind, "name": part} for kind, part in (*levels, ("FEATURE_VIEW", view.name))]
    dataset = Dataset(
        namespace,
        name,
        {
            "schema": {"fields": [{"name": c.name, "type": c.type} for c in columns]},
            "dataSource": source(namespace),
            "hierarchy": {"hierarchy": parts},
            "columnLineage": copied_columns(
                {c.name: fold_name(c.name) for c in columns}, (offline.namespace, offline.name)
            ),
            **({"ownership": {"owners": [{"name": view.owner}]}} if view.owner else {}),
        },
    )
    return dataset if report is None else written(dataset, report.written + report.deleted)
