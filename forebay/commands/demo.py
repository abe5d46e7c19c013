"""forebay demo."""

from __future__ import annotations

import click


@click.command()
def demo_command() -> None:
    """Ingest a year of flights, build, train, sync, look up and verify, in the example project."""
    from forebay.demo import run_demo

    run_demo()
