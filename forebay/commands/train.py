"""forebay train."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forebay.complete import complete_service
from forebay.dbt_project.project import find_project
from forebay.events.job_events import job_events
from forebay.options import engine_option, json_option, run_instant, target_option
from forebay.terminal import emit_json, progress, say

if TYPE_CHECKING:
    from forebay.training.write_set import WrittenSet


@click.command(
    epilog="Example: forebay train dispute_risk_v1 --spine labels.parquet --out train.parquet"
)
@click.argument("service", required=False, shell_complete=complete_service)
@click.option(
    "--spine",
    help="Keys and instants: a Parquet, CSV or JSON file, a table of the lake, or a query; "
    "without it, the training-set model as built.",
)
@click.option("--timestamp", help="The spine's column of instants.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The Parquet file to write. [default: target/SERVICE.parquet]",
)
@click.option("--lag", help="Read features as they stood this long before, such as '15 minutes'.")
@click.option("--timezone", help="The zone of instants that have none.")
@engine_option("What computes it.")
@click.option(
    "--as-recorded",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Reproduce the training set FILE, or the set of that record, byte for byte. Without --out, "
    "only compare.",
)
@click.option("--served", is_flag=True,
              help="Write what was really online: the logged answers of SERVICE, a row each.")  # fmt: skip
@click.option("--last", metavar="DURATION", help="With --served, how far back. [default: 30 days]")
@click.option("--append", is_flag=True, help="Add the spine rows that the set at --out lacks.")
@click.option("--dry-run", is_flag=True, help="Check and count, but write nothing.")
@target_option
@json_option
def train_command(
    service: str | None,
    spine: str | None,
    timestamp: str | None,
    out: Path | None,
    lag: str | None,
    timezone: str | None,
    engine: str,
    as_recorded: Path | None,
    served: bool,
    last: str | None,
    append: bool,
    dry_run: bool,
    target: str | None,
    as_json: bool,
) -> int:
    """Write SERVICE's features for every row of a spine, each as of its own instant."""
    if as_recorded is not None:
        if spine or timestamp or lag or timezone or append or dry_run or served or last:
            raise click.UsageError("--as-recorded takes all but --out from the record")
        return _remake(as_recorded, service, out, target, as_json)
    if service is None:
        raise click.UsageError("Missing argument 'SERVICE'.")
    if last and not served:
        raise click.UsageError("--last says how far back --served goes")
    if served:
        if spine or timestamp or lag or timezone or append or engine != "duckdb":
            raise click.UsageError(
                "--served takes rows from the log: besides --last, --out, --dry-run"
            )
        return _served(service, last or "30 days", out, dry_run, target, as_json)
    from forebay.dbt_project.project_changes import tell_changes
    from forebay.training import export_training_set, write_training_set
    from forebay.training.spine_input import spine_words

    if append:
        if spine is None or timestamp or lag or timezone or engine != "duckdb":
            raise click.UsageError(
                "--append needs --spine, and takes the rest from the set at --out"
            )
        return _append(service, spine, out, dry_run, target, as_json)
    project = find_project(target=target)
    path = out or project.root / "target" / f"{service}.parquet"
    if spine is None and (lag or timestamp or timezone or dry_run):
        raise click.UsageError("--lag, --timestamp, --timezone and --dry-run need --spine")
    if spine is None:
        tell_changes(project, project.catalog(), "The training set is written as it was built")
    with progress(as_json) as report, job_events(project, "train", service, told=not dry_run):
        if spine is None:
            made = export_training_set(project, service, path, report)
        else:
            made = write_training_set(
                project, service, spine_words(spine), path, timestamp=timestamp, lag=lag,
                timezone=timezone, engine=engine, dry_run=dry_run, report=report,
            )  # fmt: skip
    if as_json:
        emit_json(asdict(made))
        return 0
    _tell(made, dry_run)
    return 0


def _tell(made: WrittenSet, dry_run: bool) -> None:
    from forebay.dbt_project.project_changes import shorten

    if made.recompiled:
        say(
            f"compiled anew for this set: {shorten(made.recompiled)} changed since `forebay compile`"
        )
    for told in made.deprecated:
        say(f"warning: {told}")
    if made.changes is not None:
        lines = made.changes.lines() or ["nothing changed but the time"]
        say(f"since the last training set of {made.service}, made {made.changes.since}:")
        say("\n".join(f"  {line}" for line in lines))
    say(f"{made.rows} rows, {made.columns} columns{' (--dry-run)' if dry_run else f': {made.out}'}")
    if made.without_entity:
        say(f"{made.without_entity} rows have a null key or instant: features of that key are null")


def _remake(
    recorded: Path, service: str | None, out: Path | None, target: str | None, as_json: bool
) -> int:
    from feature_specs.errors import DataError
    from forebay.training.recorded_set import read_recorded
    from forebay.training.remake_set import remake_set

    project = find_project(target=target)
    found = read_recorded(recorded)["service"]
    if service not in (None, found):
        raise DataError(
            f"it is a training set of {found!r}, not of {service!r}",
            where=str(recorded),
            hint=f"write {found}, or leave the service away",
        )
    with progress(as_json) as report:
        made = remake_set(project, recorded, out, report)
    if as_json:
        emit_json(asdict(made))
        return 0
    told = {
        True: f"the same bytes as {recorded}",
        False: f"the same values as {recorded}, in other bytes{made.note and ': ' + made.note}",
        None: "the same values as recorded",
    }
    place = f": {made.out}" if made.out else ""
    say(f"{made.rows} rows, {made.columns} columns, {told[made.same_bytes]}{place}")
    return 0


def _served(
    service: str, last: str, out: Path | None, dry_run: bool, target: str | None, as_json: bool
) -> int:
    from feature_specs.durations import parse_duration
    from forebay.training.served_set import write_served_set

    project = find_project(target=target)
    length = parse_duration(last, where="--last", example="30 days")
    path = out or project.root / "target" / f"{service}.parquet"
    until = run_instant(project, None)
    with job_events(project, "train", service, told=not dry_run):
        made, left_out = write_served_set(project, service, until, length, path, dry_run=dry_run)
    if as_json:
        emit_json({**asdict(made), "left_out": left_out})
        return 0
    _tell(made, dry_run)
    if left_out:
        say(f"{left_out} vectors are left out: other definitions or features, or keys not known")
    return 0


def _append(
    service: str, spine: str, out: Path | None, dry_run: bool, target: str | None, as_json: bool
) -> int:
    from forebay.training.append_rows import append_rows
    from forebay.training.spine_input import spine_words

    project = find_project(target=target)
    path = out or project.root / "target" / f"{service}.parquet"
    with progress(as_json) as report:
        done = append_rows(
            project, service, spine_words(spine), path, dry_run=dry_run, report=report
        )
    if as_json:
        emit_json({**asdict(done), "dry_run": dry_run})
        return 0
    would = " (--dry-run)" if dry_run else ""
    say(f"{done.added} rows added, {done.known} were there, {done.rows} in all{would}: {done.out}")
    return 0
