"""An Iceberg table as an OpenLineage dataset, named as Spark's and Trino's listeners name it.

The name is the table's location. Beside it stand the names by which catalogs know the table, so
that events of tools that go by those meet ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pyiceberg.table import Table
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from feature_specs.lake_properties import public_lake, public_uri
from lineage.events.encode_event import Dataset, Facet
from lineage.events.names import place, source

Change = Literal["ALTER", "CREATE", "DROP", "OVERWRITE"]
#: How Iceberg's other libraries call pyiceberg's kinds of catalogs.
_KINDS = {"sql": "jdbc"}


def iceberg_dataset(
    table: Table,
    lake: Mapping[str, str],
    *,
    snapshot: int | None = None,
    change: Change | None = None,
    owner: str = "",
    description: str = "",
) -> Dataset:
    """The table at one of its snapshots.

    Args:
        lake: what opens its catalog; what of it may be a credential is left out.
        snapshot: by default the current one.
        change: what the job makes of the table.
        owner: who is responsible for it.
    """
    namespace, name = place(table.location())
    if snapshot is None and (current := table.current_snapshot()) is not None:
        snapshot = current.snapshot_id
    fields = [_field(field, place) for place, field in enumerate(table.schema().fields, 1)]
    facets: dict[str, Facet] = {
        "schema": {"fields": fields},
        "dataSource": source(namespace),
        "datasetType": {"datasetType": "TABLE"},
        "storage": {"storageLayer": "iceberg", "fileFormat": "parquet"},
        "catalog": _catalog(lake),
        "symlinks": {"identifiers": [_in_catalog(table, lake)]},
    }
    if snapshot is not None:
        facets["version"] = {"datasetVersion": str(snapshot)}
    if change is not None:
        facets["lifecycleStateChange"] = {"lifecycleStateChange": change}
    if owner:
        facets["ownership"] = {"owners": [{"name": owner}]}
    if description:
        facets["documentation"] = {"description": description}
    return Dataset(namespace, name, facets)


def written(dataset: Dataset, rows: int | None, size: int | None = None) -> Dataset:
    """The dataset with how many rows, and bytes, a job wrote."""
    counts = {"rowCount": rows, "size": size}
    statistics = {key: value for key, value in counts.items() if value is not None}
    return dataset.with_io(outputStatistics=statistics)


def read_from(table: Table, dataset: Dataset, snapshot: int | None = None) -> Dataset:
    """The dataset with how many rows, bytes and files its table has, which a job may have read."""
    found = table.current_snapshot() if snapshot is None else table.snapshot_by_id(snapshot)
    if found is None or found.summary is None:
        return dataset
    names = {"rowCount": "records", "size": "files-size", "fileCount": "data-files"}
    told = {key: found.summary.get(f"total-{name}") for key, name in names.items()}
    counts = {key: int(value) for key, value in told.items() if value is not None}
    return dataset.with_io(inputStatistics=counts)


def _catalog(lake: Mapping[str, str]) -> Facet:
    public = public_lake({name: lake[name] for name in lake})
    kind = public.get("type", "sql")
    facet = {
        "framework": "iceberg",
        "type": _KINDS.get(kind, kind),
        "name": public.get("name", ""),
        "source": "forebay",
    }
    if public.get("uri"):
        facet["metadataUri"] = public["uri"]
    if public.get("warehouse"):
        facet["warehouseUri"] = public_uri(public["warehouse"])
    return facet


def _in_catalog(table: Table, lake: Mapping[str, str]) -> Facet:
    """The table by its catalog: under a REST or Hive catalog's address, else under the warehouse."""
    uri, warehouse = lake.get("uri", ""), lake.get("warehouse", "")
    if uri.startswith(("http:", "https:")):
        namespace = public_uri(uri)
    elif uri.startswith("thrift:"):
        namespace = public_uri(uri).replace("thrift:", "hive:")
    else:
        scheme, path = place(warehouse)
        namespace = f"{scheme}:{path}" if scheme == "file" else f"{scheme}/{path}"
    return {"namespace": namespace, "name": ".".join(table.name()), "type": "TABLE"}


def _field(field: NestedField, position: int) -> Facet:
    shape = _shape(field.field_type)
    about = {"description": field.doc} if field.doc else {}
    return {"name": field.name, **shape, **about, "ordinal_position": position}


def _shape(kind: IcebergType) -> dict[str, object]:
    """A type and, of a nested one, its parts, in the words of the facet's specification."""
    match kind:
        case StructType():
            return {
                "type": "struct",
                "fields": [{"name": f.name, **_shape(f.field_type)} for f in kind.fields],
            }
        case ListType():
            return {"type": "array", "fields": [{"name": "_element", **_shape(kind.element_type)}]}
        case MapType():
            parts = {"key": kind.key_type, "value": kind.value_type}
            return {"type": "map", "fields": [{"name": n, **_shape(t)} for n, t in parts.items()]}
    return {"type": str(kind)}
