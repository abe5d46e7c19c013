"""Alerts arrive in the receiver's shape; a receiver that fails is told of, and holds nobody up."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import pytest

from feature_specs.errors import ForebayError
from forebay.monitoring.findings import Finding, HealthReport
from forebay.monitoring.send_alerts import Shape, send_alerts
from tests.forebay.monitoring.receiver import Manner, receiver

pytestmark = pytest.mark.slow

AT = datetime(2024, 1, 10, tzinfo=UTC)
FOUND = (
    Finding("parity", "alert", "spending", "", "2 values differ & <b>"),
    Finding("freshness", "ok", "spending", "", "all is well"),
    Finding("drift", "alert", "spending", "spent_60d", "against last week: psi 0.9"),
    Finding("drift", "alert", "spending", "spent_60d", "against training set t: psi 0.8"),
    Finding("parity", "error", "last_payment", "", "it is not built"),
)
HEALTH = HealthReport(AT, FOUND)


def test_slack_gets_one_text_with_a_line_a_finding() -> None:
    with receiver() as slack:
        send_alerts(HEALTH, "shop", "slack", f"{slack.url}/services/T0/secret", 10)
    ((path, body),) = slack.posts
    assert path == "/services/T0/secret" and set(body) == {"text"}
    assert body["text"].splitlines() == [
        "*forebay shop*: 4 findings",
        "• parity spending: 2 values differ &amp; &lt;b&gt;",
        "• drift spending.spent_60d: against last week: psi 0.9",
        "• drift spending.spent_60d: against training set t: psi 0.8",
        "• parity last_payment (error): it is not built",
    ]


def test_alertmanager_gets_one_alert_for_each_set_of_labels() -> None:
    with receiver() as manager:
        send_alerts(HEALTH, "shop", "alertmanager", f"{manager.url}/", 10)
    ((path, alerts),) = manager.posts
    assert path == "/api/v2/alerts"
    labels = [alert["labels"] for alert in alerts]
    assert len({tuple(sorted(each.items())) for each in labels}) == len(labels) == 3
    assert labels[1] == {
        "alertname": "ForebayDrift", "project": "shop", "severity": "warning",
        "view": "spending", "feature": "spent_60d",
    }  # fmt: skip
    assert alerts[1]["annotations"]["description"] == (
        "against last week: psi 0.9\nagainst training set t: psi 0.8"
    )
    assert labels[2]["severity"] == "critical"
    assert all(datetime.fromisoformat(a["startsAt"]).tzinfo is not None for a in alerts)
    assert all(isinstance(v, str) for each in labels for v in each.values())


def test_nothing_is_sent_where_all_is_well() -> None:
    with receiver() as slack:
        send_alerts(HealthReport(AT, FOUND[1:2]), "shop", "slack", slack.url, 10)
    assert slack.posts == []


@pytest.mark.parametrize("shape", ["slack", "alertmanager"])
@pytest.mark.parametrize(
    ("manner", "fault"), [("refuses", "status 403"), ("silent", "time"), ("drips", "within 1 s")]
)
def test_a_receiver_that_fails(shape: Shape, manner: Manner, fault: str) -> None:
    with receiver(manner) as bad, pytest.raises(ForebayError) as failed:
        send_alerts(HEALTH, "shop", shape, f"{bad.url}/secret", 1)
    text = str(failed.value).lower().replace("timed out", "time").replace("no answer", "time")
    assert fault in text or (manner == "drips" and "time" in text)
    assert "secret" not in str(failed.value) and f"--{shape}" in str(failed.value)


def test_a_receiver_that_is_dead() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ForebayError, match="did not take the alerts"):
            send_alerts(HEALTH, "shop", "slack", url, 10)


@pytest.mark.parametrize("url", ["hooks.slack.com/x", "file:///etc/passwd", "http:///x"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ForebayError, match="not a URL of http"):
        send_alerts(HEALTH, "shop", "slack", url, 10)
