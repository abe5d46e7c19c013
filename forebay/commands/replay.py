"""forebay replay."""

from __future__ import annotations

import click

from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option
from forebay.terminal import emit_json


@click.command(epilog="Example: forebay replay flights --speed 3600x --days 7")
@click.argument("what", type=click.Choice(["flights"]))
@click.option("--speed", default="3600x", show_default=True, help="How many times as fast.")
@click.option(
    "--from", "start", default="2013-11-01T00:00:00Z", show_default=True, help="The first instant."
)
@click.option(
    "--days", default=30.0, show_default=True, type=click.FloatRange(0.01, 366), help="How many."
)
@target_option
@json_option
def replay_command(
    what: str, speed: str, start: str, days: float, target: str | None, as_json: bool
) -> None:
    """Play a month of the example's flights into the broker of the profile, stream them back, and
    show how features change. Replaces the rows of nyc.flights."""
    from forebay.streaming.replay import ReplayRequest, parse_speed, replay_flights

    request = ReplayRequest(start, days, parse_speed(speed))
    done = replay_flights(find_project(target=target), request)
    if as_json:
        emit_json(done)
