"""Run every health check of a project and collect the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from feature_specs.instants import epoch_us
from feature_specs.library_errors import explain_one, known_errors
from forebay.dbt_project.project import Project
from forebay.monitoring.compare_served import SkewReport, compare_served
from forebay.serve_settings import read_settings
from lakehouse.statistics import FeatureStatistics, latest_statistics
from lakehouse.statistics.drift_of_views import drift_of_views
from lakehouse.statistics.measure_drift import Drift
from lakehouse.statistics.measure_views import measure_project
from serving.settings import read_secret
from serving.verify import VerifyReport, verify

#: ``alert``: a check has found something. ``error``: it could not be made.
Status: TypeAlias = Literal["ok", "alert", "error"]


Check: TypeAlias = Literal["parity", "freshness", "drift", "skew", "statistics"]
CHECKS: tuple[Check, ...] = get_args(Check)


@dataclass(frozen=True)
class SkewOptions:
    """What of the log of served vectors is compared with training.

    Attributes:
        last: answers of so long before the run's clock.
        most: rows of a view, the latest ones.
        allow: the share of a feature's values that may differ.
    """

    last: timedelta = timedelta(days=1)
    most: int = 10_000
    allow: float = 0.01


@dataclass(frozen=True)
class Finding:
    """The result of one check of one view or feature."""

    check: Check
    status: Status
    view: str
    feature: str
    said: str


@dataclass(frozen=True)
class HealthReport:
    """All findings of one run.

    Attributes:
        at: the clock of the run.
        statistics: of every feature as it was built last.
        skews: what was served beside training, of views that the log has.
    """

    at: datetime
    findings: tuple[Finding, ...]
    reports: tuple[VerifyReport, ...] = ()
    drifts: tuple[Drift, ...] = ()
    statistics: tuple[FeatureStatistics, ...] = field(default=())
    skews: tuple[SkewReport, ...] = ()

    @property
    def alerts(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.status == "alert")

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.status == "error")


def look_at_project(
    project: Project,
    views: Sequence[str] | None,
    at: datetime,
    *,
    sample: int | None,
    dry_run: bool,
    skew: SkewOptions | None = SkewOptions(),
) -> HealthReport:
    """Run every check. One that cannot run is a finding itself; the others still run.

    Args:
        views: names; None for all.
        sample: how many entities of a view to compare; None for all.
        dry_run: measure nothing that was not measured yet.
        skew: None compares nothing that was served.

    Raises:
        UnknownNameError: there is no such view.
    """
    catalog = project.catalog()
    names = [catalog.view(name).name for name in (catalog.views if views is None else views)]
    findings: list[Finding] = []
    reports: list[VerifyReport] = []
    drifts: list[Drift] = []
    measured: list[FeatureStatistics] = []
    try:
        reports = verify(catalog, names, now=at, sample=sample)
        for report in reports:
            findings += _parity(report, at)
    except known_errors() as error:
        findings.append(Finding("parity", "error", "", "", str(explain_one(error))))
    try:
        if not dry_run:
            measure_project(catalog, project.folder, views)
        measured = list(latest_statistics(catalog, names).values())
        drifts = drift_of_views(catalog, project.folder, names)
        findings += map(_drift, drifts)
    except known_errors() as error:
        findings.append(Finding("statistics", "error", "", "", str(explain_one(error))))
    skews: list[SkewReport] = []
    if skew is not None:
        try:
            skews = _compare_served(project, views, at, skew)
            for skewed in skews:
                findings += _skew(skewed, skew.allow)
        except known_errors() as error:
            findings.append(Finding("skew", "error", "", "", str(explain_one(error))))
    return HealthReport(
        at, tuple(findings), tuple(reports), tuple(drifts), tuple(measured), tuple(skews)
    )


def _compare_served(
    project: Project, views: Sequence[str] | None, at: datetime, skew: SkewOptions
) -> list[SkewReport]:
    catalog = project.catalog()
    names = None
    if views is not None:
        wanted = {catalog.view(name).name for name in views}
        names = [name for name in catalog.readable if catalog.view_behind(name) in wanted]
    path = read_settings(project, {}).served_secret
    secret = None if path is None else read_secret(Path(path))
    return compare_served(project, at, skew.last, most=skew.most, secret=secret, views=names)


def _skew(report: SkewReport, allow: float) -> list[Finding]:
    """A finding of each feature that differs too much; one of the view where none does."""
    if report.error is not None:
        return [Finding("skew", "error", report.view, "", report.error)]
    over = [each for each in report.features.values() if each.share > allow]
    found = []
    for each in over:
        kinds = Counter(e.kind for e in report.examples if e.difference.column == each.feature)
        listed = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
        said = (
            f"{each.skewed:,} of {each.values:,} served values ({each.share:.2%}) differ from "
            f"training, {allow:.2%} allowed; {each.broken:,} of them are not F(D, T) either"
        )
        said += f"; of the first ones: {listed}" if listed else ""
        found.append(Finding("skew", "alert", report.view, each.feature, said))
    if over:
        return found
    worst = report.worst
    said = f"{report.compared:,} of {report.rows:,} served rows compared"
    if worst is not None:
        said += f", at most {worst.share:.2%} of a feature's values differ from training"
    return [Finding("skew", "ok", report.view, "", said)]


def _parity(report: VerifyReport, at: datetime) -> list[Finding]:
    view = report.view
    if report.error is not None:
        return [Finding("parity", "error", view, "", report.error)]
    said = f"{report.values} values are equal"
    if not report.same_query:
        said = "the online rows are of another query, or were never synced"
    elif not report.equal:
        said = (
            f"{report.different} values differ, {report.missing} rows are missing online, "
            f"{report.extra} are too many"
        )
    parity = Finding("parity", "ok" if report.equal else "alert", view, "", said)
    if report.age_us is None:
        return [parity]
    aged = f"online rows are of {report.age_us / 1e6:.0f} s before {at.isoformat()}"
    allowed = "" if report.freshness_us is None else f", {report.freshness_us / 1e6:.0f} s allowed"
    fresh: Status = "ok" if report.fresh else "alert"
    return [parity, Finding("freshness", fresh, view, "", aged + allowed)]


def _drift(drift: Drift) -> Finding:
    measures = ("psi", "js", "ks")
    values = {name: getattr(drift, name) for name in measures}
    listed = ", ".join(f"{n} {v:.3f}" for n, v in values.items() if v is not None)
    said = f"against {drift.against}: {listed or 'nothing to compare'}"
    if drift.why_not:
        said += f"; not judged: {drift.why_not}"
    elif drift.over:
        said += f"; over its threshold: {', '.join(drift.over)}"
    status: Status = "alert" if drift.over else "ok"
    return Finding("drift", status, drift.view, drift.feature, said)


def epoch_s(at: datetime) -> float:
    """Seconds since the epoch."""
    return epoch_us(at) / 1e6
