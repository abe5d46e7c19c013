"""Post a run's alerts to Slack or Alertmanager.

A receiver that is dead, slow or refuses is reported, and never waited for beyond the time-out.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from feature_specs.errors import ForebayError
from forebay.monitoring.findings import Finding, HealthReport

Shape: TypeAlias = Literal["slack", "alertmanager"]

#: Slack cuts a text off at 40,000 characters.
_MOST_LINES, _MOST_TEXT = 50, 500


def send_alerts(
    health: HealthReport, project: str, shape: Shape, url: str, timeout_s: float
) -> None:
    """Post the findings; nothing if all is well.

    Args:
        url: Slack's incoming webhook, or the base of an Alertmanager.
        timeout_s: for the whole exchange.

    Raises:
        ForebayError: the receiver did not take it. Its message has no more of the URL than the host,
            since the rest may be a secret.
    """
    told = (*health.alerts, *health.errors)
    if not told:
        return
    body: object = slack_message(told, project)
    if shape == "alertmanager":
        body = alertmanager_alerts(told, project, datetime.now(UTC))
        url = url.rstrip("/") + "/api/v2/alerts"
    _post(url, json.dumps(body).encode(), f"--{shape}", timeout_s)


def slack_message(found: Sequence[Finding], project: str) -> dict[str, Any]:
    """The JSON of an incoming webhook: one text with a line per finding."""
    lines = [f"*forebay {project}*: {len(found)} findings"]
    for finding in found[:_MOST_LINES]:
        line = f"{_named(finding)}: {finding.said}"
        lines.append("• " + _escaped(line[:_MOST_TEXT]))
    if len(found) > _MOST_LINES:
        lines.append(f"and {len(found) - _MOST_LINES} more: `forebay monitor`")
    return {"text": "\n".join(lines)}


def alertmanager_alerts(
    found: Sequence[Finding], project: str, now: datetime
) -> list[dict[str, Any]]:
    """The JSON of Alertmanager's ``POST /api/v2/alerts``: labels say which alert it is, so that the
    same one sent again is the same, and annotations what was found."""
    alerts: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for finding in found:
        labels = {
            "alertname": f"Forebay{finding.check.capitalize()}",
            "project": project,
            "severity": "critical" if finding.status == "error" else "warning",
        }
        labels |= {"view": finding.view} if finding.view else {}
        labels |= {"feature": finding.feature} if finding.feature else {}
        known = alerts.setdefault(
            tuple(sorted(labels.items())),
            {
                "labels": labels,
                "annotations": {"summary": _named(finding), "description": finding.said},
                "startsAt": now.isoformat(),
            },
        )
        if finding.said not in known["annotations"]["description"]:
            known["annotations"]["description"] += f"\n{finding.said}"
    return list(alerts.values())


def _named(finding: Finding) -> str:
    of = ".".join(part for part in (finding.view, finding.feature) if part)
    return f"{finding.check} {of}".strip() + (" (error)" if finding.status == "error" else "")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(url: str, body: bytes, option: str, timeout_s: float) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ForebayError(
            "it is not a URL of http or https", where=option, hint="write such as https://HOST/..."
        )
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    fault = _within(timeout_s, lambda: _fault_of(request, timeout_s))
    if fault is not None:
        raise ForebayError(
            f"{parts.hostname} did not take the alerts: {fault}",
            where=option,
            hint="see whether the receiver runs and the URL is right, then run monitor again",
        )


def _fault_of(request: urllib.request.Request, timeout_s: float) -> str | None:
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"status {error.code}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:  # a time-out, no HTTP
        return str(error) or type(error).__name__


def _within(timeout_s: float, ask: Callable[[], str | None]) -> str | None:
    """The answer of ``ask``; a receiver that sends a byte now and then would hold it for ever."""
    answer: list[str | None] = []
    asking = threading.Thread(target=lambda: answer.append(ask()), daemon=True)
    asking.start()
    asking.join(timeout_s)
    return answer[0] if answer else f"no answer within {timeout_s:g} s"
