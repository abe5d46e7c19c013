"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from forebay.dbt_project.find_root import CLOCK_PLACE

if TYPE_CHECKING:
    from forebay.dbt_project.project import Project

_F = TypeVar("_F", bound=Callable[..., Any])


def json_option(function: _F) -> _F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def now_option(function: _F) -> _F:
    return click.option(
        "--now", help="The clock of this run, ISO 8601 with offset; else dbt var forebay_now."
    )(function)


def target_option(function: _F) -> _F:
    return click.option("--target", help="The target in profiles.yml.")(function)


def select_option(function: _F) -> _F:
    return click.option("--select", multiple=True, help="dbt's node selection, one or several.")(
        function
    )


def full_refresh_option(function: _F) -> _F:
    return click.option(
        "--full-refresh",
        is_flag=True,
        envvar="DBT_FULL_REFRESH",
        help="Recompute every feature table in full.",
    )(function)


def engine_option(text: str) -> Callable[[_F], _F]:
    """``--engine``: one of the engines that statements are written for.

    Args:
        text: the help, since commands use the engine for different things.
    """
    return click.option(
        "--engine",
        default="duckdb",
        show_default=True,
        type=click.Choice(["duckdb", "trino", "spark"]),
        help=text,
    )


def orphan_days_option(function: _F) -> _F:
    return click.option(
        "--orphan-days",
        type=click.FloatRange(0),
        default=3.0,
        show_default=True,
        help="Delete unreferenced files older than this; younger ones may belong to a running writer.",
    )(function)


def clock_source(project: Project, now: str | None) -> str:
    """Where T of a run comes from, for people."""
    if now is not None:
        return "--now"
    return "now" if project.now is None else "var forebay_now in dbt_project.yml"


def wait_option(function: _F) -> _F:
    return click.option(
        "--wait",
        type=click.FloatRange(0),
        is_flag=False,
        flag_value=float("inf"),
        metavar="[SECONDS]",
        help="Wait for another build, or for whoever has the database open.",
    )(function)


class SeveralValues(click.Command):
    """A command some of whose options take several values at once, as dbt's do.

    Args:
        several: those options; all words up to the next option are values of theirs.
    """

    def __init__(self, *args: Any, several: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.several = several

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        out: list[str] = []
        option, opened = "", False
        for word in args:
            if word.startswith("-"):
                name, _, value = word.partition("=")
                option = name if name in self.several else ""
                out.append(word)
                opened = bool(option) and not value
            elif option and not opened:
                out += [option, word]
            else:
                out.append(word)
                opened = False
        return super().parse_args(ctx, out)


def run_instant(project: Project, now: str | None, option: str = "--now") -> datetime:
    """T of a run: the option's, else the dbt var forebay_now, else the present.

    Args:
        option: what the command calls ``now``, to name it in an error.
    """
    from feature_specs.instants import parse_instant

    if now is not None:
        return parse_instant(now, where=option)
    if project.now is not None:
        return parse_instant(project.now, where=CLOCK_PLACE)
    return datetime.now(UTC)
