"""A run's findings as Prometheus metrics, in a file that node_exporter's textfile collector reads."""

from __future__ import annotations

import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from forebay.monitoring.findings import CHECKS, HealthReport, epoch_s

_OF = ("view", "feature")


def metrics_text(health: HealthReport) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"forebay_{name}", text, labels, registry=registry)

    gauge("monitor_run_timestamp_seconds", "When monitor ran.").set(time.time())
    gauge("monitor_clock_seconds", "The clock of the run.").set(epoch_s(health.at))
    found = gauge("monitor_findings", "Checks by result.", "check", "status")
    for check in CHECKS:
        for status in ("ok", "alert", "error"):
            mine = [f for f in health.findings if (f.check, f.status) == (check, status)]
            found.labels(check, status).set(len(mine))
    parity = gauge("parity_rows", "Rows that differ from the lake's.", "view", "kind")
    age = gauge("online_age_seconds", "Age of a view's online rows.", "view")
    for report in (r for r in health.reports if r.error is None):
        parity.labels(report.view, "different").set(report.different)
        parity.labels(report.view, "missing").set(report.missing)
        parity.labels(report.view, "extra").set(report.extra)
        if report.age_us is not None:
            age.labels(report.view).set(report.age_us / 1e6)
    nulls = gauge("feature_null_ratio", "Share of nulls.", "view", "feature")
    mean = gauge("feature_mean", "Mean of a number.", "view", "feature")
    for entry in health.statistics:
        if entry.null_rate is not None:
            nulls.labels(entry.view, entry.feature).set(entry.null_rate)
        if entry.mean is not None:
            mean.labels(entry.view, entry.feature).set(entry.mean)
    drift = gauge("feature_drift", "Drift.", "view", "feature", "against", "measure")
    for each in health.drifts:
        for measure in ("psi", "js", "ks"):
            value = getattr(each, measure)
            if value is not None:
                drift.labels(each.view, each.feature, each.against, measure).set(value)
    skew = gauge("served_skew_ratio", "Share of served values that differ from training.", *_OF)
    broken = gauge("served_broken_ratio", "Share of served values that are not F(D, T).", *_OF)
    rows = gauge("served_rows", "Served rows that were looked at.", "view", "kind")
    for compared in (r for r in health.skews if r.error is None):
        for kind in ("compared", "unavailable", "other_meaning", "unknown"):
            rows.labels(compared.view, kind).set(getattr(compared, kind))
        for known in compared.features.values():
            skew.labels(compared.view, known.feature).set(known.share)
            broken.labels(compared.view, known.feature).set(known.broken / max(known.values, 1))
    return generate_latest(registry)


def write_metrics(health: HealthReport, path: Path) -> None:
    """Write the file atomically.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(metrics_text(health))
    beside.replace(path)
