"""Which Iceberg tables the leaves of a project have, and what is wrong where they have none."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog
from feature_specs.errors import SpecError, UnknownNameError, did_you_mean
from feature_specs.leaf import Leaf
from feature_specs.manifest import Manifest
from lakehouse.lake import table_names


def not_in_iceberg(lake: Lake, manifest: Manifest, unique_id: str, name: str) -> UnknownNameError:
    """What to say of a leaf whose Iceberg table is not there."""
    if unique_id in manifest.nodes:
        node = manifest.nodes[unique_id]
        return UnknownNameError(
            f"{node['resource_type']} {node['name']!r} is not built yet, so its columns are not "
            "known",
            where=node["original_file_path"],
            hint="run `forebay build`, which builds it first",
        )
    source = manifest.sources[unique_id]
    return UnknownNameError(
        f"source {source['source_name']}.{source['name']} has no Iceberg table {name!r}",
        where=source["original_file_path"],
        hint="load it with `forebay ingest`, or read a model over it that stands as a leaf (a table "
        "or incremental model with a time role and `meta: {time_safe: true}`); "
        + did_you_mean(name, table_names(lake)),
    )


def refuse_shared_tables(manifest: Manifest, catalog: Catalog, leaves: Mapping[str, Leaf]) -> None:
    """A copied leaf has its Iceberg table for itself."""
    taken = {
        t: f"view {v.name}" for v in catalog.views.values() for t in (v.table, v.history_table)
    }
    taken |= {t.table: f"training set {t.name}" for t in catalog.training_sets.values()}
    taken |= {manifest.iceberg_table(i): f"source {i}" for i in leaves if i in manifest.sources}
    for unique_id in (i for i in leaves if i in manifest.nodes):
        node, table = manifest.nodes[unique_id], manifest.iceberg_table(unique_id)
        if table in taken:
            raise SpecError(
                f"the rows of {node['name']!r} would go into Iceberg table {table!r}, which is "
                f"that of {taken[table]}",
                where=node["original_file_path"],
                hint="name another table with `meta: {iceberg_table: <schema>.<name>}`",
            )
        taken[table] = unique_id


def copied_relations(manifest: Manifest, leaves: Mapping[str, Leaf]) -> dict[str, str]:
    """Relation to Iceberg table of the leaves that are dbt nodes."""
    return {
        leaf.name: manifest.iceberg_table(i) for i, leaf in leaves.items() if i in manifest.nodes
    }
