"""forebay serve."""

from __future__ import annotations

from dataclasses import replace

import click

from forebay.options import now_option, target_option
from forebay.project import find_project


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=6566, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
@now_option
@target_option
def serve_command(host: str, port: int, workers: int, now: str | None, target: str | None) -> None:
    """Answer POST /get-online-features; the catalogue page is at /, metrics at /metrics."""
    from lakehouse.instants import parse_instant
    from serving.server import serve

    catalog = find_project(target=target).catalog()
    if now is not None:
        catalog = replace(catalog, now=parse_instant(now, where="--now").isoformat())
    serve(catalog, host, port, workers)
