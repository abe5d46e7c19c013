"""OpenLineage events of `forebay monitor`: each check is an assertion about a view's table."""

from __future__ import annotations

from collections import defaultdict

from forebay.dbt_project.project import Project
from forebay.monitoring.findings import Finding, HealthReport
from lakehouse.iceberg_dataset import iceberg_dataset
from lakehouse.lake import find_table, open_lake
from lineage.events.encode_event import Facet
from lineage.events.run import Run


def tell_health(run: Run, project: Project, health: HealthReport) -> None:
    """Note the checks of each view that has a table; those of a role are its view's."""

    def describe(run: Run) -> None:
        catalog, lake = project.catalog(), open_lake(project.lake)
        found: dict[str, list[Facet]] = defaultdict(list)
        for finding in health.findings:
            if finding.view in catalog.readable:
                found[catalog.view_behind(finding.view)].append(_assertion(finding))
        for name, assertions in found.items():
            view = catalog.view(name)
            table = find_table(lake, view.table)
            if table is not None:
                facet = {"assertions": assertions}
                made = iceberg_dataset(table, project.lake, owner=view.owner)
                told = made.with_facets(dataQualityAssertions=facet)
                run.read(told.with_io(dataQualityAssertions=facet))

    run.note(describe)


def _assertion(finding: Finding) -> Facet:
    return {
        "assertion": finding.check,
        "name": finding.said,
        "success": finding.status == "ok",
        "severity": "error" if finding.status == "error" else "warn",
        **({"column": finding.feature} if finding.feature else {}),
    }
