"""forebay served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_specs.counted import counted
from forebay.dbt_project.project import find_project
from forebay.options import json_option, now_option, run_instant, target_option
from forebay.terminal import complain, emit_json, say, table

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as Lake

    from forebay.monitoring.compare_served import SkewReport


@click.command(epilog="Example: forebay served --last '1 day' --allow 0.01 --json")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path),
              help="Where servers log; else the profile's `serve: {served_folder: FOLDER}`.")  # fmt: skip
@click.option("--compare/--no-compare", default=True, show_default=True,
              help="Compare what was served with what training has for the same instants.")  # fmt: skip
@click.option("--last", default="1 day", show_default=True, metavar="DURATION",
              help="Compare what was served in this time.")  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=10_000, show_default=True, metavar="N",
              help="Compare so many rows of a view, the latest ones.")  # fmt: skip
@click.option("--allow", type=click.FloatRange(0, 1), default=0.01, show_default=True,
              metavar="SHARE", help="Exit code 1 where more of a feature's values differ.")  # fmt: skip
@click.option("--retention", metavar="DURATION",
              help="Remove days of the log that are older; else the profile's `serve: "
              "{served_retention: DURATION}`, else none.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what is there to commit, and commit nothing.")
@now_option
@target_option
@json_option
def served_command(
    folder: Path | None,
    compare: bool,
    last: str,
    most: int,
    allow: float,
    retention: str | None,
    dry_run: bool,
    now: str | None,
    target: str | None,
    as_json: bool,
) -> int:
    """Commit what servers have logged (`forebay serve --log-served`) to forebay.served_vectors, measure
    it hour by hour, and compare it with training. Exit code 1 where too much differs."""
    from feature_specs.durations import parse_duration
    from forebay.monitoring.compare_served import compare_served
    from forebay.monitoring.write_skews import write_skews
    from forebay.serve_settings import read_settings
    from lakehouse.lake import open_lake
    from serving.served.commit_spool import commit_spool
    from serving.served.measure_served import measure_served
    from serving.settings import read_secret

    project = find_project(target=target)
    length = parse_duration(last, where="--last", example="1 day")
    settings = read_settings(project, {})
    place = folder or Path(str(settings.served_folder))
    at, lake = run_instant(project, now), open_lake(project.catalog().lake)
    committed = commit_spool(lake, place, dry_run=dry_run)
    measured = [] if dry_run else measure_served(project.catalog(), at)
    removed = _forget(lake, at, retention, settings.served_retention, dry_run)
    reports: list[SkewReport] = []
    if compare:
        path = settings.served_secret
        secret = None if path is None else read_secret(Path(path))
        reports = compare_served(project, at, length, most=most, secret=secret)
        if not dry_run:
            write_skews(project, reports, at)
    if as_json:
        done = {"folder": str(place), "dry_run": dry_run, **asdict(committed)}
        done |= {"hours_measured": len({entry.as_of for entry in measured}), "removed": removed}
        emit_json({**done, "views": [asdict(report) for report in reports]})
    else:
        done_word = "to commit" if dry_run else "committed"
        files, vectors = counted(committed.files, "file"), counted(committed.vectors, "vector")
        say(f"{files} of {vectors} {done_word}")
        if removed:
            say(
                f"{counted(removed, 'row')} older than is kept {'to remove' if dry_run else 'removed'}"
            )
        _tell(reports)
    busy = f"another run commits {place} at this moment: run it again"
    errors = [f"{r.view}: {r.error}" for r in reports if r.error]
    if complain([*([busy] if committed.busy else []), *errors]):
        return 2
    return int(any(f.share > allow for r in reports for f in r.features.values()))


def _forget(
    lake: Lake, at: datetime, option: str | None, profile: str | None, dry_run: bool
) -> int:
    """Remove what is older than is kept; how many rows."""
    from feature_specs.durations import parse_duration
    from serving.served.forget_days import forget_days

    said = option or profile
    if said is None:
        return 0
    where = "--retention" if option else "serve: served_retention of the profile"
    length = parse_duration(said, where=where, example="90 days")
    return forget_days(lake, at, length, dry_run=dry_run)[0]


def _tell(reports: Sequence[SkewReport]) -> None:
    from serving.verify import value_text

    rows: list[tuple[Any, ...]] = [
        (r.view, f.feature, f.values, f.skewed, f.broken)
        for r in reports
        for f in r.features.values()
    ]
    if rows:
        say(table(rows, ("view", "feature", "served", "differ", "not F(D, T)")))
    for report in reports:
        left = {
            "not given in time": report.unavailable,
            "of another meaning": report.other_meaning,
            "of unknown keys": report.unknown,
        }
        out = [f"{number:,} {why}" for why, number in left.items() if number]
        if out:
            say(f"{report.view}: not compared: {', '.join(out)}")
        if report.withheld:
            say(f"{report.view}: what differs is not shown: {report.withheld}")
        for each in report.examples:
            d = each.difference
            say(f"  {report.view}: {d.key} {d.column}: training {value_text(d.offline)}, "
                f"served {value_text(d.online)}: {each.kind}, since {each.why}")  # fmt: skip
            for cause in each.causes:
                shown = ", ".join(f"{name}={value}" for name, value in cause.row.items())
                say(f"    {cause.change}: {shown}")
