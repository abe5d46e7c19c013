"""Which of what was compiled reads a table of the lake, or is stored in it."""

from __future__ import annotations

from feature_specs.catalog import Catalog
from forebay.dbt_project.project import Project


def table_readers(project: Project, table: str) -> list[str]:
    """The compiled feature views that read a table, and views and training sets whose it is."""
    return readers_in(project.catalog(), table) if project.catalog_path.exists() else []


def readers_in(catalog: Catalog, table: str) -> list[str]:
    """The same of a catalog at hand."""
    leaves = {name for name, leaf in catalog.leaves.items() if leaf.table == table}
    views = {
        view.name
        for view in catalog.views.values()
        if leaves & set(view.leaves) or table in (view.table, view.history_table)
    }
    return sorted(views | {s.name for s in catalog.training_sets.values() if s.table == table})
