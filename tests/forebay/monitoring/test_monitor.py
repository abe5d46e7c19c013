"""`forebay monitor` from end to end: findings, exit codes, metrics and alerts of a real project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from forebay.commands.build import build
from forebay.dbt_project.project import find_project
from lakehouse.statistics import latest_statistics
from serving.sync import sync
from tests.forebay.conftest import Shell
from tests.forebay.monitoring.receiver import receiver
from tests.forebay.small import edit, make_project


def metrics(path: Path) -> dict[tuple[str, ...], float]:
    """Name and label values, in the order of the labels' names, to value, as Prometheus reads them."""
    families = text_string_to_metric_families(path.read_text())
    return {
        (s.name, *(s.labels[n] for n in sorted(s.labels))): s.value
        for f in families
        for s in f.samples
    }


@pytest.mark.slow
def test_a_project_that_is_well_and_then_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "shop")
    old = "entities: [customer], ttl: 7 days"
    edit(root, "models/views.yml", old, f"{old}, freshness: 1 day")
    project = find_project(root)
    build(project, quiet=True)
    shell = Shell(root, monkeypatch, capsys)

    assert shell.run("monitor") == 2, "nothing is synced yet"
    assert "forebay sync" in shell.err
    sync(project.catalog())
    assert shell.run("monitor", "--textfile", "well.prom", "--slack", "http://127.0.0.1:1") == 0
    assert "0 alerts, 0 errors" in shell.out
    found = metrics(root / "well.prom")
    assert found["forebay_monitor_findings", "parity", "ok"] == 2
    assert found["forebay_parity_rows", "different", "spending"] == 0
    assert found["forebay_online_age_seconds", "last_payment"] == 0
    assert found["forebay_feature_mean", "payments_60d", "spending"] == 4
    assert found["forebay_feature_null_ratio", "spent_60d", "spending"] == 0

    later = ("--now", "2024-01-11T00:00:00.000001+00:00")
    with receiver() as slack, receiver() as manager:
        code = shell.run(
            "monitor", *later, "--json", "--slack", slack.url, "--alertmanager", manager.url
        )
    assert code == 1
    said = json.loads(shell.out)
    alerts = [f for f in said["findings"] if f["status"] == "alert"]
    assert [(f["check"], f["view"]) for f in alerts] == [("freshness", "last_payment")]
    assert {s["feature"] for s in said["statistics"]} >= {"spent_60d", "twice"}
    assert "freshness last_payment" in slack.posts[0][1]["text"]
    assert manager.posts[0][1][0]["labels"]["alertname"] == "ForebayFreshness"

    # A dead receiver, a folder that is not there: the run says so, and is over.
    code = shell.run("monitor", *later, "--slack", "http://127.0.0.1:1", "--textfile", "no/x.prom")
    assert code == 2
    assert "did not take the alerts" in shell.err and "no/x.prom" in shell.err
    with receiver() as slack:
        assert shell.run("monitor", *later, "--dry-run", "--slack", slack.url) == 1
    assert slack.posts == []
    assert "did you mean" in shell.refused("monitor", "spendin")
    assert ("spending", "spent_60d") in latest_statistics(project.catalog())
