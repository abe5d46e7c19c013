"""What dbt prints goes through, but for tracebacks."""

from __future__ import annotations

import logging
import sys

import pytest

from forebay.dbt_project.dbt_output import dbt_output
from forebay.terminal import DEBUG_VARIABLE


def log() -> None:
    """As dbt's logger does: a handler of the stream that is there when a command begins."""
    handler = logging.StreamHandler(sys.stdout)
    for text in ("1 of 2 OK", f"{TRACE}\n  File x\nOSError: no room", "Done."):
        handler.emit(logging.LogRecord("dbt", logging.INFO, "", 0, text, None, None))


TRACE = "02:39:08  Traceback (most recent call last):"


def test_tracebacks_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with dbt_output(quiet=False):
        assert not sys.stdout.isatty()
        log()
    assert capsys.readouterr().out == "1 of 2 OK\nDone.\n"


def test_debugging_shows_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    with dbt_output(quiet=False):
        log()
    assert TRACE in capsys.readouterr().out


def test_a_quiet_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with dbt_output(quiet=True):
        log()
    assert capsys.readouterr().out == ""
