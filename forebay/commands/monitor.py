"""forebay monitor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_specs.counted import counted
from feature_specs.errors import ForebayError
from forebay.complete import complete_view
from forebay.dbt_project.project import Project, find_project
from forebay.options import json_option, now_option, run_instant, target_option
from forebay.terminal import complain, emit_json, say

if TYPE_CHECKING:
    from forebay.monitoring.findings import HealthReport


@click.command(epilog="Example: forebay monitor --textfile forebay.prom --json")
@click.argument("views", nargs=-1, shell_complete=complete_view)
@click.option("--sample", type=click.IntRange(1), metavar="N",
              help="Compare a sample of about N entities per view online with offline; default all.")  # fmt: skip
@click.option("--skew/--no-skew", "compare", default=True, show_default=True,
              help="Compare served vectors, where they are logged, with training.")  # fmt: skip
@click.option("--last", default="1 day", show_default=True, metavar="DURATION",
              help="Compare what was served in this time.")  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=10_000, show_default=True, metavar="N",
              help="Compare so many served rows of a view, the latest ones.")  # fmt: skip
@click.option("--allow-skew", type=click.FloatRange(0, 1), default=0.01, show_default=True,
              metavar="SHARE", help="Alert where more of a feature's served values differ.")  # fmt: skip
@click.option("--textfile", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write Prometheus metrics to FILE, atomically.")  # fmt: skip
@click.option("--slack", envvar="FOREBAY_SLACK_URL", metavar="URL",
              help="Post alerts to this Slack incoming webhook.")  # fmt: skip
@click.option("--alertmanager", envvar="FOREBAY_ALERTMANAGER_URL", metavar="URL",
              help="Post alerts to this Alertmanager.")  # fmt: skip
@click.option("--webhook-timeout", type=click.FloatRange(0.1), default=10.0, show_default=True,
              metavar="SECONDS", help="Time-out for each receiver.")  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="Check only: keep no statistics, write and send nothing."
)
@now_option
@target_option
@json_option
def monitor_command(
    views: tuple[str, ...],
    sample: int | None,
    compare: bool,
    last: str,
    most: int,
    allow_skew: float,
    textfile: Path | None,
    slack: str | None,
    alertmanager: str | None,
    webhook_timeout: float,
    dry_run: bool,
    now: str | None,
    target: str | None,
    as_json: bool,
) -> int:
    """Check parity, freshness, drift and training-serving skew of VIEWS (default: all) once. Exit code 1 if a check raised an
    alert, 2 if a check could not run or an alert could not be sent."""
    from feature_specs.durations import parse_duration
    from forebay.events.job_events import job_events
    from forebay.events.monitor_events import tell_health
    from forebay.monitoring.findings import SkewOptions, look_at_project

    length = parse_duration(last, where="--last", example="1 day")
    skew = SkewOptions(length, most, allow_skew) if compare else None
    project = find_project(target=target)
    at = run_instant(project, now)
    with job_events(project, "monitor", told=not dry_run, nominal=at) as run:
        health = look_at_project(
            project, list(views) or None, at, sample=sample, dry_run=dry_run, skew=skew
        )
        tell_health(run, project, health)
    failed = [] if dry_run else _pass_on(
        health, project, textfile,
        {"slack": slack, "alertmanager": alertmanager}, webhook_timeout,
    )  # fmt: skip
    if as_json:
        emit_json(_as_json(health))
    else:
        _tell(health)
    wrong = complain([*(f.said for f in health.errors), *map(str, failed)])
    return 2 if wrong else 1 if health.alerts else 0


def _pass_on(
    health: HealthReport,
    project: Project,
    textfile: Path | None,
    receivers: dict[str, str | None],
    timeout_s: float,
) -> list[ForebayError]:
    """Write figures and metrics and send the alerts; what fails there stops nothing else."""
    from forebay.monitoring.send_alerts import send_alerts
    from forebay.monitoring.write_metrics import write_metrics
    from forebay.monitoring.write_skews import write_skews

    failed: list[ForebayError] = []
    try:
        write_skews(project, health.skews, health.at)
    except OSError as error:
        hint = "let this user write there: the catalogue shows it"
        failed.append(
            ForebayError(
                f"skew.json cannot be written: {error.strerror}",
                where=str(project.folder),
                hint=hint,
            )
        )
    if textfile is not None:
        try:
            write_metrics(health, textfile)
        except OSError as error:
            hint = "name a file in a folder that is there and may be written"
            failed.append(
                ForebayError(f"cannot be written: {error.strerror}", where=str(textfile), hint=hint)
            )
    for shape, url in receivers.items():
        if url:
            try:
                send_alerts(health, project.catalog().project, shape, url, timeout_s)  # type: ignore[arg-type]
            except ForebayError as error:
                failed.append(error)
    return failed


def _tell(health: HealthReport) -> None:
    for finding in health.findings:
        if finding.status != "error":
            named = ".".join(part for part in (finding.view, finding.feature) if part)
            say(f"{finding.status:<5}  {finding.check:<9}  {named}: {finding.said}")
    say(f"{counted(len(health.findings), 'check')}, {counted(len(health.alerts), 'alert')}, "
        f"{counted(len(health.errors), 'error')}")  # fmt: skip


def _as_json(health: HealthReport) -> dict[str, Any]:
    drifts = [
        {n: getattr(d, n) for n in ("view", "feature", "against", "psi", "js", "ks", "over", "why_not")}
        for d in health.drifts
    ]  # fmt: skip
    statistics = [
        {n: getattr(s, n) for n in ("view", "feature", "as_of", "rows", "nulls", "nans", "mean")}
        for s in health.statistics
    ]
    return {
        "at": health.at.isoformat(),
        "findings": [asdict(f) for f in health.findings],
        "drift": drifts,
        "statistics": statistics,
        "skew": [
            {"view": r.view, "rows": r.rows, "compared": r.compared, **asdict(f), "share": f.share}
            for r in health.skews
            for f in r.features.values()
        ],
    }
