"""What a build would do: which views are new or changed, how, and what that touches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.durations import duration_text
from feature_specs.errors import ForebayError, errors_of, raise_all
from feature_specs.instants import epoch_us
from feature_specs.library_errors import explain_one, known_errors
from feature_specs.progress import Progress
from forebay.compilation.compile_project import Compiled, compile_project
from forebay.dbt_project.project import Project
from forebay.planning.against import OldView
from forebay.planning.built_logs import built_logs, definition_of
from forebay.terminal import table
from lakehouse.feature_tables.choose_step import choose_step, state_at
from lakehouse.feature_tables.generations import resume_point
from lakehouse.feature_tables.past_runs import read_runs, rows_of
from lakehouse.lake import find_table, open_lake, read_state
from lakehouse.plans import plan_of
from lakehouse.relations import Relations, leaf_relations, pin_each
from lakehouse.retained import check_retained
from lakehouse.scan import Pinned, pin
from lineage.compare_definitions import (
    Change,
    changed_features,
    compare_definitions,
    removed_features,
    services_hit,
)
from lineage.impact import (
    exposures_touched,
    owners_of,
    owners_touched,
    services_touched,
    training_sets_touched,
)

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as Lake

    _Definition = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """How long a table that a view reads keeps its rows, and how far back the view reads them."""

    leaf: str
    keeps: str
    reads_back: str


@dataclass(frozen=True)
class PlannedView:
    """What a build would do with one view.

    Attributes:
        change: ``new``, ``changed``, ``unchanged``, ``removed`` or, of a view that cannot be
            compiled, ``left out``.
        recompute: ``full``, ``step`` or ``nothing``: what the tables in the lake ask for; of a view
            that cannot be built, ``failed``.
        built_first: dbt nodes whose rows the build may change before it reads them, which may make
            more of ``recompute``: of nothing a step, of a step a full one. Empty where it cannot.
        why: of ``recompute``, in a clause.
        columns: feature columns added (+) and removed (-).
        changes: what differs from what the last build was compiled from; None where that was not
            recorded.
        features: the features that may have other values than at the last build, for the same data;
            all of them, where it is not proved which.
        of: how many features the view has.
        breaks: services that lose a feature, as ``service.feature``.
        differs: what services that keep reading it get of another type, or have to ask for by
            another key: the change, and their names.
        error: why it cannot be built, with a hint.
        owners: of the services, by their names: who is to be told of a change.
        exposures: dbt exposures besides those services that read the view or its training sets.
        keeps: of the tables that it reads, those whose rows are removed once they are old.
        rows, files: of the tables that it reads: what computing it in full reads.
        seconds: what ``recompute`` may take, by the last run of its kind; None where none is known.
    """

    view: str
    change: str
    recompute: str
    built_first: tuple[str, ...]
    why: str
    columns: tuple[str, ...]
    changes: tuple[Change, ...] | None
    features: tuple[str, ...]
    of: int
    breaks: tuple[str, ...]
    services: tuple[str, ...]
    training_sets: tuple[str, ...]
    error: str | None = None
    owners: Mapping[str, str] = field(default_factory=dict)
    exposures: tuple[str, ...] = ()
    rows: int = 0
    files: int = 0
    keeps: tuple[Kept, ...] = ()
    differs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    seconds: float | None = None


def make_plan(
    project: Project,
    at: datetime,
    report: Progress,
    *,
    select: Sequence[str] = (),
    full_refresh: bool = False,
    against: Mapping[str, OldView] | None = None,
) -> list[PlannedView]:
    """Compile without writing, and compare with what each table was built from.

    Args:
        against: another version of the project, to compare with that instead; what is recomputed
            follows from the tables all the same.
        at: the clock of the build that is planned.
        select: its dbt selectors; all views where there is none.
        full_refresh: whether it is to compute every table in full.

    Raises:
        ForebayError: what the build would fail with, as far as the project and the lake tell.
    """
    compiled = compile_project(project, progress=report, write=False, keep_going=True)
    catalog = compiled.catalog
    chosen = _selected(project, select) if select else None
    lake = open_lake(project.lake)
    # As the build does, which reads every table's footers before its first view.
    leaves = pin_each(lake, leaf_relations(catalog.leaves.values()))
    if against is not None:
        left = {name: dict(old.definition) for name, old in against.items()}
    else:
        left = _tables_left(catalog, lake)
    planned = [
        _plan_or_fail(
            compiled, lake, leaves, view, at, _in_full(compiled, view, full_refresh), left, against
        )
        for view in catalog.views.values()
        if chosen is None or view.unique_id in chosen
    ]
    planned += [
        _failed(out.name, "left out", out.problem())
        for unique_id, out in catalog.left_out.items()
        if unique_id in compiled.manifest.nodes and (chosen is None or unique_id in chosen)
    ]
    return planned if select else [*planned, *_removed(catalog, left)]


def _plan_or_fail(
    compiled: Compiled,
    lake: Lake,
    leaves: Relations,
    view: ViewEntry,
    at: datetime,
    full_refresh: bool,
    left: Mapping[str, _Definition],
    against: Mapping[str, OldView] | None,
) -> PlannedView:
    """What a build would do with a view; an error where a table that it reads cannot be read."""
    try:
        raise_all(leaves.failed[name] for name in view.leaves if name in leaves.failed)
        return _plan_view(compiled, lake, leaves.pinned, view, at, full_refresh, left, against)
    except known_errors() as error:
        failed = _failed(view.name, "-", explain_one(error))
        return replace(
            failed,
            services=services_touched(compiled.catalog, view.name),
            training_sets=training_sets_touched(compiled.catalog, view.name),
            owners=owners_touched(compiled.catalog, view.name),
        )


def _failed(view: str, change: str, error: ForebayError) -> PlannedView:
    why = "; ".join(map(str, errors_of(error)))
    return PlannedView(
        view=view,
        change=change,
        recompute="failed",
        built_first=(),
        why=why,
        columns=(),
        changes=(),
        features=(),
        of=0,
        breaks=(),
        services=(),
        training_sets=(),
        error=why,
    )


def plan_text(plan: list[PlannedView]) -> str:
    """The plan as a table, what has changed in each view, and a closing line."""
    rows = [
        (p.view, p.change, _word(p), " ".join(p.columns) or "-",
         ", ".join((*p.services, *(f"{t} (training set)" for t in p.training_sets))) or "-")
        for p in plan
    ]  # fmt: skip
    text = table(rows, ("view", "change", "recompute", "columns", "touches"))
    details = "".join(f"\n{p.view}\n{lines}\n" for p in plan if (lines := "\n".join(_details(p))))
    failed = sum(p.error is not None for p in plan)
    full = sum(p.recompute == "full" for p in plan)
    text += f"\n{details}\n{full} of {len(plan)} views would be computed in full"
    unsure = sum(bool(p.built_first) for p in plan)
    text += f", {unsure} perhaps more, by what is built first" if unsure else ""
    return text + (f"; {failed} cannot be built" if failed else "")


def _word(planned: PlannedView) -> str:
    return planned.recompute + (" or more" if planned.built_first else "")


def _details(planned: PlannedView) -> Iterator[str]:
    if planned.changes is None:
        yield "  built by an earlier forebay, which did not record what it was compiled from"
    for change in planned.changes or ():
        yield f"  {change}" + (" (applied at reading)" if change.at_reading else "")
    if planned.features:
        number = len(planned.features)
        every = number > 1 and number == planned.of
        yield f"  may differ: {'all features' if every else ', '.join(planned.features)}"
    if planned.owners and planned.change in ("changed", "removed"):
        told = (f"{owner} ({service})" for service, owner in planned.owners.items())
        yield f"  touches services of: {', '.join(told)}"
    for broken in planned.breaks:
        service, _, feature = broken.partition(".")
        yield f"  BREAKS service {service}, which loses feature {feature}"
    if planned.recompute != "nothing" and planned.change != "new":
        yield f"  {planned.recompute}: {planned.why}"
    for kept in planned.keeps:
        yield f"  {kept.leaf} keeps rows for {kept.keeps}; the view reads {kept.reads_back} back"
    if planned.built_first:
        yield f"  or more, where the build first changes rows of {', '.join(planned.built_first)}"


def _selected(project: Project, select: Sequence[str]) -> set[str]:
    """Unique ids of the models that dbt's selectors choose."""
    words = ["ls", "--resource-type", "model", "--output", "json", "--output-keys", "unique_id"]
    listed = project.dbt([*words, "--select", *select], quiet=True).result
    return {str(json.loads(line)["unique_id"]) for line in listed}


def _in_full(compiled: Compiled, view: ViewEntry, asked: bool) -> bool:
    """Whether dbt asks for a full refresh, as it decides it: the model's own config comes first."""
    own = compiled.manifest.nodes[view.unique_id]["config"].get("full_refresh")
    return asked if own is None else bool(own)


def _plan_view(
    compiled: Compiled,
    lake: Lake,
    pinned: Mapping[str, Pinned],
    view: ViewEntry,
    at: datetime,
    full_refresh: bool,
    left: Mapping[str, _Definition],
    against: Mapping[str, OldView] | None,
) -> PlannedView:
    history, latest = find_table(lake, view.history_table), find_table(lake, view.table)
    before = read_state(history)
    if before is not None and latest is not None:
        _ = pin(latest).sql  # a file that is lost fails the build
    check_retained(view, pinned, epoch_us(at))
    stands, since = resume_point(latest, before, view)
    choice = choose_step(
        view,
        plan_of(compiled.parts[view.name].files, view.name),
        pinned,
        stands,
        since,
        state_at(view, pinned, at),
        full_refresh=full_refresh,
    )
    if since != before and not full_refresh:
        choice = replace(choice, why=f"rows kept of this definition are switched to; {choice.why}")
    now = json.loads(compiled.definition(view.name))
    # A view whose table has another name now is new to the lake, and not to those who read it.
    if against is not None:
        was, known = left.get(view.name), view.name in against
        hashed = against[view.name].semantic_hash if known else None
    else:
        was = left.get(view.name) if history is None else definition_of(history)
        known, hashed = before is not None, before.semantic_hash if before else None
    changes = compare_definitions(was, now) if was else None if known else ()
    different = known and hashed != view.semantic_hash
    read = [pinned[name] for name in view.leaves if name in pinned]
    rows, run = rows_of(read), read_runs(history).get(choice.how)
    return PlannedView(
        view=view.name,
        change=_change(not known, was is None, bool(changes or different)),
        recompute=choice.how,
        built_first=_built_first(compiled.catalog, view) if choice.how != "full" else (),
        why=choice.why,
        columns=_columns(was, now),
        changes=() if changes is None and not different else changes,
        features=changed_features(was, now) if was else (),
        of=len(view.features),
        breaks=_breaks(was, now),
        services=services_touched(compiled.catalog, view.name),
        training_sets=training_sets_touched(compiled.catalog, view.name),
        owners=owners_touched(compiled.catalog, view.name),
        exposures=exposures_touched(compiled.lineage, view.name),
        rows=rows,
        files=sum(len(leaf.files) for leaf in read),
        seconds=None if run is None else run.estimate(choice.how, rows),
        keeps=_kept(compiled.catalog, view),
        differs=tuple((str(c), s) for c, s in services_hit(was, now).items()) if was else (),
    )


def _kept(catalog: Catalog, view: ViewEntry) -> tuple[Kept, ...]:
    """Compiling has refused whatever reads further back than rows are kept."""
    tables = {name: catalog.leaves[name].table for name in view.leaves}
    return tuple(
        Kept(tables[name], *map(_length, (catalog.retention[tables[name]].keep_us, back)))
        for name, back in sorted(view.reach.items())
        if tables[name] in catalog.retention
    )


def _length(us: int) -> str:
    return str(duration_text(-(-us // 1_000_000)))


def _built_first(catalog: Catalog, view: ViewEntry) -> tuple[str, ...]:
    """The seeds, snapshots and models that a view reads as leaves, as ``seed segments``."""
    origins = (catalog.leaves[name].origin for name in view.leaves)
    nodes = (o.node.split(".") for o in origins if o is not None)
    return tuple(f"{kind} {'.'.join(name)}" for kind, _, *name in nodes)


def _change(unbuilt: bool, unknown: bool, different: bool) -> str:
    """What a plan calls the difference from the last build."""
    if unbuilt:
        return "new" if unknown else "changed"
    return "changed" if different else "unchanged"


def _tables_left(catalog: Catalog, lake: Lake) -> dict[str, _Definition]:
    """View to its last definition, of the project's tables that none of its views has now."""
    known = {view.history_table for view in catalog.views.values()}
    found = sorted(built_logs(lake, catalog.project, known), key=lambda log: log.state.at)
    return {str(log.definition["view"]): log.definition for log in found}


def _removed(catalog: Catalog, left: Mapping[str, _Definition]) -> Iterator[PlannedView]:
    """Views that have tables in the lake and stand in the project no more."""
    left_out = {out.name for out in catalog.views_left_out()}
    for was in left.values():
        if was["view"] in catalog.views or was["view"] in left_out:
            continue  # it has another table now, or cannot be compiled
        services = was.get("services", {})
        yield PlannedView(
            view=str(was["view"]),
            change="removed",
            recompute="nothing",
            built_first=(),
            why="its tables stay as they are: `forebay maintain --removed-views` drops them",
            columns=tuple(f"-{n}" for n in was.get("features", {})),
            changes=(),
            features=(),
            of=0,
            breaks=tuple(f"{s}.{f}" for s, names in services.items() for f in names),
            services=tuple(services),
            training_sets=(),
            owners=owners_of(catalog, services),
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
