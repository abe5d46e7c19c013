"""forebay serve."""

from __future__ import annotations

import click

from forebay.options import target_option
from forebay.project import find_project


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=6566, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
@target_option
def serve_command(host: str, port: int, workers: int, target: str | None) -> None:
    """Answer POST /get-online-features; the catalogue page is at /, metrics at /metrics."""
    from serving.server import serve

    serve(find_project(target=target).catalog(), host, port, workers)
