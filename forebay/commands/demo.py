"""forebay demo."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("path", default="forebay-demo", type=click.Path(path_type=Path))
def demo_command(path: Path) -> None:
    """Make the flights example at PATH and run all of it. [default: ./forebay-demo]

    Ingests a year of flights, builds, trains, syncs, looks up and verifies. PATH is a new or an
    empty folder, or one that an earlier demo made.

    \b
    Example:
      forebay demo /tmp/flights
    """
    from forebay.demo import run_demo

    run_demo(path)
