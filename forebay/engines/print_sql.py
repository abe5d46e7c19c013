"""A service's point-in-time statement, to be pasted into an engine's own client."""

from __future__ import annotations

from feature_specs.durations import parse_duration
from feature_specs.errors import DataError
from feature_specs.instants import microseconds
from forebay.check_query import check_query
from forebay.compilation.current_service import current_service
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from forebay.training.write_statement import filled, write_on_engine
from lakehouse.check_spine import check_spine
from lakehouse.duckdb_types import column_types
from lakehouse.engines.pinned_relations import pinned_relation
from lakehouse.engines.scratch import NAMESPACE
from lakehouse.engines.table_names import TableNames
from lakehouse.ingest.spine import choose_instant
from lakehouse.lake import load_table, open_lake
from lakehouse.relations import leaf_relations, pin_relations


def service_sql(
    project: Project,
    service: str,
    spine: str,
    *,
    engine: str = "duckdb",
    timestamp: str | None = None,
    lag: str | None = None,
    pinned: bool = False,
) -> str:
    """The SQL of a service's features over a spine that is a table of the lake.

    Args:
        pinned: read every leaf at the snapshot that it has now.

    Raises:
        ForebayError: the spine lacks a column, or the engine cannot compute a feature.
    """
    lag_us = (
        0 if lag is None else microseconds(parse_duration(lag, where="--lag", example="1 hour"))
    )
    compiled = current_service(project, service)
    catalog = compiled.catalog
    entry = catalog.service(service)
    check_readable(project, catalog, (view for view, _ in entry.features))
    check_query(project, f"from {spine}")
    if entry.no_past:
        raise DataError(entry.no_past, where=entry.file, hint="read it as things stand")
    lake = open_lake(catalog.lake)
    columns = column_types(load_table(lake, spine).schema())
    check_spine(catalog, service, columns, f"table {spine}")
    chosen = choose_instant(columns, timestamp, f"table {spine}")
    if engine == "duckdb":
        return filled(compiled.template, spine, chosen, lag_us)
    names = TableNames("spark" if engine == "spark" else "trino", _catalog_name(project, engine))
    leaves = {leaf for view, _ in entry.features for leaf in catalog.view(view).leaves}
    relations = leaf_relations(catalog.leaves[name] for name in sorted(leaves))
    if pinned:
        found = pin_relations(lake, relations)
        written = {r: pinned_relation(names, table) for r, table in found.items()}
    else:
        written = {r: names.table(table) for r, table in relations.items()}
    prefix = f"{names.table(NAMESPACE + '.x').rpartition('.')[0]}.{_plain(service)}_step_"
    script = write_on_engine(
        compiled, names, names.table(spine), list(columns), chosen, lag_us, written, prefix
    )
    return ";\n\n".join((*script.create, script.query, *script.drop))


def _catalog_name(project: Project, engine: str) -> str:
    """Spark's catalog has the name that the lake has; Trino's is in the profile."""
    if engine == "spark":
        return project.lake["name"]
    from forebay.engines.trino_settings import trino_output

    return str(trino_output(project)[1].get("database"))


def _plain(service: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in service.lower())
