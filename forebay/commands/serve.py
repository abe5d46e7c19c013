"""forebay serve."""

from __future__ import annotations

from dataclasses import replace

import click

from forebay.options import now_option, target_option
from forebay.project import find_project
from forebay.terminal import complain


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=6566, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
@now_option
@target_option
def serve_command(host: str, port: int, workers: int, now: str | None, target: str | None) -> None:
    """Answer POST /get-online-features; the catalogue page is at /, metrics at /metrics."""
    from lakehouse.instants import parse_instant
    from serving.api.views import ready_views
    from serving.server import serve

    catalog = find_project(target=target).catalog()
    if now is not None:
        catalog = replace(catalog, now=parse_instant(now, where="--now").isoformat())
    complain(
        f"feature view {name!r} is answered with 503: {error}"
        for name, error in ready_views(catalog)[1].items()
    )
    serve(catalog, host, port, workers)
