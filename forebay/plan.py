"""What a build would do: which views are new or mean something else, and what that touches."""

from __future__ import annotations

from dataclasses import dataclass

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import ForebayError
from forebay.compile_project import Progress, compile_project
from forebay.project import Project
from forebay.terminal import table
from lakehouse.lake import find_table, open_lake, read_state
from lakehouse.relations import leaf_relations, pin_relations
from lineage.impact import services_touched, training_sets_touched


@dataclass(frozen=True)
class PlannedView:
    """What a build would do with one view.

    Attributes:
        change: ``new``, ``changed``, ``unchanged`` or ``removed``.
        recompute: ``full``, ``step`` or ``nothing``.
        columns: feature columns added (+) and removed (-).
    """

    view: str
    change: str
    recompute: str
    columns: tuple[str, ...]
    services: tuple[str, ...]
    training_sets: tuple[str, ...]


def make_plan(project: Project, report: Progress) -> list[PlannedView]:
    """Compile without writing, and compare with what was compiled and built last."""
    before = _catalog_before(project)
    after = compile_project(project, progress=report, write=False).catalog
    lake = open_lake(project.lake)
    pinned = pin_relations(lake, leaf_relations(after.leaves.values()))
    snapshots = {name: p.snapshot for name, p in pinned.items()}
    out = []
    for view in after.views.values():
        state = read_state(find_table(lake, view.history_table))
        if state is None:
            change, recompute = "new", "full"
        elif state.semantic_hash != view.semantic_hash:
            change, recompute = "changed", "full"
        else:
            fresh = {name: snapshots[name] for name in view.leaves}
            change, recompute = "unchanged", "nothing" if fresh == state.snapshots else "step"
        old = before.views.get(view.name) if before else None
        out.append(_planned(view, old, change, recompute, after))
    for name, view in (before.views if before else {}).items():
        if name not in after.views and before is not None:
            out.append(_planned(None, view, "removed", "nothing", before))
    return out


def plan_text(plan: list[PlannedView]) -> str:
    """The plan as a table, with a closing line."""
    rows = [
        (p.view, p.change, p.recompute, " ".join(p.columns) or "-",
         ", ".join((*p.services, *(f"{t} (training set)" for t in p.training_sets))) or "-")
        for p in plan
    ]  # fmt: skip
    text = table(rows, ("view", "change", "recompute", "columns", "touches"))
    full = sum(p.recompute == "full" for p in plan)
    return f"{text}\n{full} of {len(plan)} views would be computed in full"


def _planned(
    view: ViewEntry | None, old: ViewEntry | None, change: str, recompute: str, catalog: Catalog
) -> PlannedView:
    now = {f.name for f in view.features} if view else set()
    was = {f.name for f in old.features} if old else set()
    columns = [f"+{n}" for n in sorted(now - was)] if old else []
    columns += [f"-{n}" for n in sorted(was - now)] if view else []
    name = (view or old).name if (view or old) else ""  # type: ignore[union-attr]
    return PlannedView(
        name,
        change,
        recompute,
        tuple(columns),
        services_touched(catalog, name),
        training_sets_touched(catalog, name),
    )


def _catalog_before(project: Project) -> Catalog | None:
    try:
        return project.catalog()
    except ForebayError:
        return None  # never compiled: everything is new
