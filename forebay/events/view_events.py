"""OpenLineage events of feature views that are computed outside dbt."""

from __future__ import annotations

from forebay.dbt_project.project import Project
from forebay.events.view_columns import view_columns
from lakehouse.iceberg_dataset import iceberg_dataset
from lakehouse.lake import find_table, open_lake
from lineage.events.run import Run


def tell_view(run: Run, project: Project, name: str, table: str | None = None) -> None:
    """Note the tables under a feature view, and the one that its rows are written to.

    Args:
        table: another one than the view's own.
    """

    def describe(run: Run) -> None:
        catalog, lake = project.catalog(), open_lake(project.lake)
        view = catalog.view(name)
        for leaf in view.leaves:
            found = find_table(lake, catalog.leaves[leaf].table)
            if found is not None:
                run.read(iceberg_dataset(found, project.lake))
        written = find_table(lake, table or view.table)
        if written is None:
            return
        made = iceberg_dataset(written, project.lake, owner=view.owner)
        columns = view_columns(project.root, catalog, view, lake)
        run.wrote(made.with_facets(columnLineage=columns))

    run.note(describe)
