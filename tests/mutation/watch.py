"""A pytest plugin that writes what became of each test, as a line of JSON, to $MUTATION_REPORT."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def _write(name: str, passed: bool, report: pytest.CollectReport | pytest.TestReport) -> None:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash is not None else str(report.longrepr or "")
    with Path(os.environ["MUTATION_REPORT"]).open("a") as file:
        file.write(json.dumps({"test": name, "passed": passed, "message": message[:2000]}) + "\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test has run, or its set-up failed."""
    if report.failed or report.when == "call":
        _write(report.nodeid, not report.failed, report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A module could not be imported."""
    if report.failed:
        _write(report.nodeid, False, report)
