"""How long a project's tables keep their rows, as far as that is sure."""

from __future__ import annotations

from collections.abc import Mapping

from feature_specs.errors import ForebayError
from feature_specs.retention import Retention
from forebay.dbt_project.project import Project
from forebay.dbt_project.project_changes import project_changes


def retention_in_force(project: Project) -> tuple[Mapping[str, Retention], str]:
    """Iceberg table to how long its rows are kept; and why no rows may go, if so.

    Nothing goes by what was compiled once and may say otherwise now.
    """
    try:
        catalog = project.catalog()
    except ForebayError:
        return {}, ""
    if catalog.retention and project_changes(project, catalog):
        return {}, (
            "no rows were removed by meta.retention, since the project has changed since it was "
            "compiled: run `forebay compile`"
        )
    return catalog.retention, ""
