"""A plan in sections: what breaks and for whom, what is recomputed, what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from feature_specs.durations import duration_text
from feature_specs.errors import ForebayError
from forebay.dbt_project.project import Project
from forebay.planning.plan import PlannedView
from lakehouse.duckdb_types import column_types
from lakehouse.lake import find_table, open_lake
from lineage.project_lineage import FILE, load_project_lineage
from lineage.source_changes import SourceChange, source_changes

Sections = Mapping[str, Sequence[str]]


def changed_sources(project: Project) -> list[SourceChange]:
    """Raw columns that are gone or retyped since the last `forebay compile`; none where it never ran."""
    path = project.folder / FILE
    if not path.exists():
        return []
    try:
        lineage = load_project_lineage(path)
    except ForebayError:
        return []  # another version's: compiled anew in a moment
    lake = open_lake(project.lake)
    found = {name: find_table(lake, name) for name in lineage.tables}
    present = {n: column_types(t.schema()) for n, t in found.items() if t is not None}
    return source_changes(lineage, present)


def plan_sections(plan: Sequence[PlannedView], sources: Sequence[SourceChange]) -> Sections:
    """``changes``, ``breaking``, ``backfill`` and ``preview only``: lines of each, none left empty."""
    sections = {
        "changes": [*(str(s) for s in sources if not s.breaking), *_changes(plan)],
        "breaking": [*(str(s) for s in sources if s.breaking), *_breaking(plan)],
        "backfill": [
            f"{p.view}: {p.recompute}{_size(p)}; {p.why}"
            for p in plan
            if p.recompute in ("full", "step") and p.error is None
        ],
        "preview only": [
            f"{p.view}: {change}"
            for p in plan
            if p.recompute == "nothing"
            for change in p.changes or ()
            if change.at_reading
        ],
    }
    return {name: lines for name, lines in sections.items() if lines}


def _changes(plan: Sequence[PlannedView]) -> Iterator[str]:
    for p in plan:
        if p.change in ("new", "changed", "removed"):
            hit = [
                *(f"service {s}" for s in p.services),
                *(f"training set {t}" for t in p.training_sets),
                *(f"exposure {e}" for e in p.exposures),
                *(f"owner {o}" for o in dict.fromkeys(p.owners.values())),
            ]
            features = f", {len(p.features)} of {p.of} features may differ" if p.features else ""
            yield f"{p.view}: {p.change}{features}" + (f"; hits {', '.join(hit)}" if hit else "")


def _breaking(plan: Sequence[PlannedView]) -> Iterator[str]:
    for p in plan:
        for broken in p.breaks:
            service, _, feature = broken.partition(".")
            owner = f" (owner {p.owners[service]})" if p.owners.get(service) else ""
            yield f"service {service}{owner} loses feature {p.view}.{feature}"
        for change, services in p.differs:
            yield f"{p.view}: {change}; read by {', '.join(services)}"


def _size(planned: PlannedView) -> str:
    size = ""
    if planned.recompute == "full":
        size = f", {planned.rows:,} rows in {planned.files:,} files"
    if planned.seconds is not None:
        size += f", about {duration_text(max(1, round(planned.seconds)))} by the last {planned.recompute} run"
    return size


def sections_text(sections: Sections) -> str:
    """The sections as plain lines."""
    return "\n\n".join(
        "\n".join([f"{name}:", *(f"  {line}" for line in lines)])
        for name, lines in sections.items()
    )


def sections_markdown(sections: Sections) -> str:
    """The sections as Markdown for a pull request."""
    if not sections:
        return "### forebay plan\n\nNothing changes."
    parts = ["### forebay plan"]
    for name, lines in sections.items():
        parts.append("\n".join([f"**{name.capitalize()}**", "", *(f"- {line}" for line in lines)]))
    return "\n\n".join(parts)
