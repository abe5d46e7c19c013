"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from forebay.project import Project

_F = TypeVar("_F", bound=Callable[..., Any])


def json_option(function: _F) -> _F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def now_option(function: _F) -> _F:
    return click.option(
        "--now", help="The clock of this run, ISO 8601 with offset; else dbt var forebay_now."
    )(function)


def target_option(function: _F) -> _F:
    return click.option("--target", help="The target in profiles.yml.")(function)


def clock_source(project: Project, now: str | None) -> str:
    """Where T of a run comes from, for people."""
    if now is not None:
        return "--now"
    return "the present" if project.now is None else "var forebay_now in dbt_project.yml"


def run_instant(project: Project, now: str | None) -> datetime:
    """T of a run: --now, else the dbt var forebay_now, else the present."""
    from lakehouse.instants import parse_instant

    if now is not None:
        return parse_instant(now, where="--now")
    if project.now is not None:
        return parse_instant(project.now, where="dbt_project.yml, var forebay_now")
    return datetime.now(UTC)
