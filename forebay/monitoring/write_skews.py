"""Write what was found of training-serving skew beside the catalog, for the catalogue's pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from feature_specs.skew_figures import SKEWS, SkewFigures, dump_skews, load_skews
from forebay.dbt_project.project import Project
from forebay.monitoring.compare_served import SkewReport
from lakehouse.write_text import write_if_changed


def write_skews(project: Project, reports: Sequence[SkewReport], until: datetime) -> None:
    """Write skew.json into target/forebay; views that were not compared keep what it says of them.

    A role's features stand beside those of its view.

    Raises:
        OSError: it cannot be written.
    """
    catalog, path = project.catalog(), project.folder / SKEWS
    figures = {
        name: known
        for name, known in load_skews(path).items()
        if name.partition(":")[0] in catalog.readable
    }
    for report in reports:
        if not report.features:
            continue
        meaning = catalog.readable[report.view].definition_hash
        for each in report.features.values():
            figures[f"{report.view}:{each.feature}"] = SkewFigures(
                meaning,
                until.astimezone(UTC).isoformat(timespec="seconds"),
                each.values,
                each.skewed,
                each.broken,
            )
    if figures or path.exists():
        write_if_changed(path, dump_skews(figures))
