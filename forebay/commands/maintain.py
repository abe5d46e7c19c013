"""forebay maintain."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from feature_specs.counted import counted
from feature_specs.errors import ForebayError
from forebay.complete import complete_table
from forebay.dbt_project.project import find_project
from forebay.events.job_events import job_events
from forebay.options import (
    json_option,
    now_option,
    orphan_days_option,
    run_instant,
    target_option,
)
from forebay.terminal import complain, emit_json, say, size_text

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from forebay.dbt_project.project import Project
    from forebay.planning.removed_views import RemovedView
    from lakehouse.maintain.maintain_table import Upkeep


@click.command(epilog="Example: forebay maintain --dry-run")
@click.argument("tables", nargs=-1, shell_complete=complete_table)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and change nothing.")
@click.option(
    "--keep-hours",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Keep snapshots that were current within this many hours: readers may use them.",
)
@orphan_days_option
@click.option(
    "--keep-metadata",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Keep this many older metadata files, whatever their age.",
)
@click.option(
    "--forget",
    type=click.Path(),
    metavar="FILE",
    help="Release the snapshots pinned by the training set FILE, or by the set of that id, and do "
    "nothing else.",
)
@click.option(
    "--removed-views",
    is_flag=True,
    help="Drop the tables and online rows of views no longer in the project.",
)
@now_option
@target_option
@json_option
def maintain_command(
    tables: tuple[str, ...],
    dry_run: bool,
    keep_hours: float,
    orphan_days: float,
    keep_metadata: int,
    forget: str | None,
    removed_views: bool,
    now: str | None,
    target: str | None,
    as_json: bool,
) -> int:
    """Keep the Iceberg TABLES (default: all) small: remove rows past their source's meta.retention,
    compact small files, expire snapshots that nothing needs any more, and delete files that no kept
    snapshot references. Without TABLES also drop online rows of definitions replaced over a day ago."""
    from forebay.builds.pinned_snapshots import pinned_snapshots
    from forebay.builds.retention_in_force import retention_in_force
    from forebay.events.maintain_events import maintain_events
    from forebay.planning.drop_earlier import drop_earlier
    from lakehouse.lake import load_table, open_lake
    from lakehouse.maintain.free_files import Ages
    from lakehouse.maintain.keep_table import Rules, keep_table
    from lakehouse.maintain.maintain_table import all_tables

    project = find_project(target=target)
    lake = open_lake(project.lake)
    if forget is not None:
        return _forget(lake, forget, dry_run, as_json)
    for name in tables:
        load_table(lake, name)
    removed = _remove(project, dry_run) if removed_views else []
    # The online store is no table: who names tables, as a stream's upkeep does, leaves it alone.
    earlier = [] if tables else drop_earlier(project, dry_run=dry_run)
    held = all_tables(lake)
    ages = Ages(timedelta(hours=keep_hours), timedelta(days=orphan_days), keep_metadata)
    retention, unsure = retention_in_force(project)
    clock = run_instant(project, now)
    rules = Rules(pinned_snapshots(project, held.values()), ages, clock, retention)
    done: list[Upkeep] = []
    failed: list[ForebayError] = []
    with job_events(project, "maintain", told=not dry_run) as run:
        for name in tables or held:
            try:
                with maintain_events(run, project, lake, name):
                    done.append(keep_table(lake, name, held, rules, dry_run=dry_run))
            except ForebayError as error:
                failed.append(error)
        if failed:
            run.fail(str(failed[0]))
    _tell(removed, earlier, done, dry_run, as_json)
    if unsure:
        complain([unsure])
    return 2 if complain(map(str, failed)) or any(e.failed for e in done) else 0


def _remove(project: Project, dry_run: bool) -> list[RemovedView]:
    """Drop what is left of views that the project has no more."""
    from forebay.planning.removed_views import find_removed, remove_views

    removed = find_removed(project, project.catalog())
    if not dry_run:
        remove_views(project, removed)
    return removed


def _tell(
    removed: list[RemovedView],
    earlier: list[str],
    done: list[Upkeep],
    dry_run: bool,
    as_json: bool,
) -> None:
    if as_json:
        gone: list[dict[str, Any]] = [{**asdict(view), "dry_run": dry_run} for view in removed]
        gone += [{"online": name, "dry_run": dry_run} for name in earlier]
        emit_json([*gone, *(_as_json(each, dry_run) for each in done)])
    else:
        for view in removed:
            say(f"{view.name}: removed, {view.said} {'would go' if dry_run else 'went'}")
        for name in earlier:
            say(f"online {name}: rows of an earlier definition {'would go' if dry_run else 'went'}")
        for each in done:
            say(_line(each))
            for file in each.failed:
                say(f"{file}: could not be deleted")
        verb = "would be freed" if dry_run else "freed"
        say(f"{size_text(sum(e.bytes for e in done))} in "
            f"{counted(sum(e.files for e in done), 'file')} {verb}")  # fmt: skip


def _forget(lake: Catalog, named: str, dry_run: bool, as_json: bool) -> int:
    """Remove a training set's tags; its snapshots go with the next run."""
    from pathlib import Path

    from feature_specs.errors import UnknownNameError, did_you_mean
    from forebay.training.combine_parts import parts_of
    from forebay.training.recorded_set import read_recorded
    from lakehouse.keep_snapshots import forget_snapshots, sets_kept
    from lakehouse.maintain.maintain_table import all_tables

    known = sets_kept(all_tables(lake))
    ids = [named]
    if Path(named).is_file():
        ids = [str(part.get("id")) for part in parts_of(read_recorded(Path(named)))]
    elif named not in known:
        raise UnknownNameError(
            f"there is no file {named!r}, and no training set of that id whose snapshots are kept",
            where="--forget",
            hint=did_you_mean(named, known),
        )
    tables = sorted({table for set_id in ids for table in known.get(set_id, [])})
    if not dry_run:
        for set_id in ids:
            forget_snapshots(lake, set_id, known.get(set_id, []))
    if as_json:
        emit_json({"ids": ids, "tables": tables, "dry_run": dry_run})
    elif tables:
        would = "would be" if dry_run else "are"
        say(f"set {ids[-1]}: snapshots of {', '.join(tables)} {would} no longer kept for it")
    else:
        say(f"set {ids[-1]}: no snapshots are kept for it")
    return 0


def _line(done: Upkeep) -> str:
    if done.note:
        return f"{done.table}: left as it is, {done.note}"
    went = [
        f"{counted(len(kind.files), 'file')} of {kind.kind} ({size_text(kind.bytes)})"
        for kind in done.freed
        if kind.files
    ]
    expired = f"{done.expired:,} of {counted(done.expired + done.kept, 'snapshot')}"
    old = [f"{counted(done.removed, 'row')} past retention"] if done.removed else []
    return f"{done.table}: {', '.join([*old, expired, *went])}"


def _as_json(done: Upkeep, dry_run: bool) -> dict[str, Any]:
    kinds = {k.kind: {"files": len(k.files), "bytes": k.bytes} for k in done.freed}
    return {
        "table": done.table,
        "dry_run": dry_run,
        "removed": done.removed,
        "snapshots": {"expired": done.expired, "kept": done.kept},
        "freed": {"files": done.files, "bytes": done.bytes, **kinds},
        "failed": list(done.failed),
        "note": done.note,
    }
