"""What a build would do: which views are new or changed, how, and what that touches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from feature_specs.catalog import Catalog, ViewEntry
from forebay.compile_project import Compiled, Progress, compile_project
from forebay.project import Project
from forebay.terminal import table
from lakehouse.choose_step import choose_step
from lakehouse.lake import (
    DEFINITION_PROPERTY,
    FeatureState,
    find_table,
    open_lake,
    read_state,
    table_names,
)
from lakehouse.materialize import EPOCH
from lakehouse.plans import plan_of
from lakehouse.relations import leaf_relations, pin_relations
from lakehouse.scan import Pinned, reading_of
from lineage.compare_definitions import (
    Change,
    changed_features,
    compare_definitions,
    removed_features,
)
from lineage.impact import services_touched, training_sets_touched

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as Lake

_HISTORY = "__history"


@dataclass(frozen=True)
class PlannedView:
    """What a build would do with one view.

    Attributes:
        change: ``new``, ``changed``, ``unchanged`` or ``removed``.
        recompute: ``full``, ``step`` or ``nothing``.
        why: of ``recompute``, in a clause.
        columns: feature columns added (+) and removed (-).
        changes: what differs from what the last build was compiled from; None where that was not
            recorded.
        features: the features that may have other values than at the last build, for the same data.
        breaks: services that lose a feature, as ``service.feature``.
    """

    view: str
    change: str
    recompute: str
    why: str
    columns: tuple[str, ...]
    changes: tuple[Change, ...] | None
    features: tuple[str, ...]
    breaks: tuple[str, ...]
    services: tuple[str, ...]
    training_sets: tuple[str, ...]


def make_plan(project: Project, at: datetime, report: Progress) -> list[PlannedView]:
    """Compile without writing, and compare with what each table was built from.

    Args:
        at: the clock of the build that is planned.
    """
    compiled = compile_project(project, progress=report, write=False)
    catalog = compiled.catalog
    lake = open_lake(project.lake)
    pinned = pin_relations(lake, leaf_relations(catalog.leaves.values()))
    planned = [_plan_view(compiled, lake, pinned, view, at) for view in catalog.views.values()]
    return [*planned, *_removed(catalog, lake)]


def plan_text(plan: list[PlannedView]) -> str:
    """The plan as a table, what has changed in each view, and a closing line."""
    rows = [
        (p.view, p.change, p.recompute, " ".join(p.columns) or "-",
         ", ".join((*p.services, *(f"{t} (training set)" for t in p.training_sets))) or "-")
        for p in plan
    ]  # fmt: skip
    text = table(rows, ("view", "change", "recompute", "columns", "touches"))
    details = "".join(f"\n{p.view}\n{lines}\n" for p in plan if (lines := "\n".join(_details(p))))
    full = sum(p.recompute == "full" for p in plan)
    return f"{text}\n{details}\n{full} of {len(plan)} views would be computed in full"


def _details(planned: PlannedView) -> Iterator[str]:
    if planned.changes is None:
        yield "  built by an earlier forebay, which did not record what it was compiled from"
    for change in planned.changes or ():
        yield f"  {change}" + (" (applied at reading)" if change.at_reading else "")
    for broken in planned.breaks:
        service, _, feature = broken.partition(".")
        yield f"  BREAKS service {service}, which loses feature {feature}"
    if planned.recompute != "nothing" and planned.change != "new":
        yield f"  {planned.recompute}: {planned.why}"


def _plan_view(
    compiled: Compiled,
    lake: Lake,
    pinned: Mapping[str, Pinned],
    view: ViewEntry,
    at: datetime,
) -> PlannedView:
    history = find_table(lake, view.history_table)
    before = read_state(history)
    state = FeatureState(
        at=(at - EPOCH) // timedelta(microseconds=1),
        semantic_hash=view.semantic_hash,
        snapshots={name: pinned[name].snapshot for name in sorted(view.leaves)},
        readings={name: reading_of(pinned[name].table) for name in sorted(view.leaves)},
    )
    plan = plan_of(compiled.parts[view.name].files, view.name)
    choice = choose_step(view, plan, pinned, find_table(lake, view.table), before, state)
    now = json.loads(compiled.definition(view.name))
    was = _definition(history.properties.get(DEFINITION_PROPERTY) if history else None)
    changes = compare_definitions(was, now) if was else None if before else ()
    different = before is not None and before.semantic_hash != view.semantic_hash
    return PlannedView(
        view=view.name,
        change="new" if before is None else "changed" if changes or different else "unchanged",
        recompute=choice.how,
        why=choice.why,
        columns=_columns(was, now),
        changes=() if changes is None and not different else changes,
        features=changed_features(was, now) if was else (),
        breaks=_breaks(was, now),
        services=services_touched(compiled.catalog, view.name),
        training_sets=training_sets_touched(compiled.catalog, view.name),
    )


def _removed(catalog: Catalog, lake: Lake) -> Iterator[PlannedView]:
    """Views that have tables in the lake and stand in the project no more."""
    known = {view.history_table for view in catalog.views.values()}
    for name in table_names(lake):
        if not name.endswith(_HISTORY) or name in known:
            continue
        table = find_table(lake, name)
        if table is None or read_state(table) is None:
            continue
        was = _definition(table.properties.get(DEFINITION_PROPERTY)) or {}
        if was.get("project") != catalog.project:
            continue  # another project's, or an earlier forebay's, which did not say whose
        services = was.get("services", {})
        yield PlannedView(
            view=str(was["view"]),
            change="removed",
            recompute="nothing",
            why="its tables stay as they are",
            columns=tuple(f"-{n}" for n in was.get("features", {})),
            changes=(),
            features=(),
            breaks=tuple(f"{s}.{f}" for s, names in services.items() for f in names),
            services=tuple(services),
            training_sets=(),
        )


def _columns(was: Mapping[str, Any] | None, now: Mapping[str, Any]) -> tuple[str, ...]:
    if was is None:
        return ()
    added = sorted(set(now["features"]) - set(was["features"]))
    return (*(f"+{n}" for n in added), *(f"-{n}" for n in sorted(removed_features(was, now))))


def _breaks(was: Mapping[str, Any] | None, now: Mapping[str, Any]) -> tuple[str, ...]:
    """Features that a service had of the view at the last build and has no more."""
    if was is None:
        return ()
    return tuple(
        f"{service}.{feature}"
        for service, features in was.get("services", {}).items()
        for feature in features
        if feature not in now["services"].get(service, ())
    )


def _definition(text: str | None) -> dict[str, Any] | None:
    return None if text is None else dict(json.loads(text))
