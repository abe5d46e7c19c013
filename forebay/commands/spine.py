"""forebay spine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from feature_specs.counted import counted
from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, say


@click.command(
    epilog="Example: forebay spine --entities 'select customer_id from shop.customers' "
    "--every '1 day' --from 2026-11-01T00:00:00Z --to 2026-11-30T00:00:00Z"
)
@click.option(
    "--entities",
    required=True,
    help="A file of keys (Parquet, CSV or JSON), or a SELECT over the lake's tables.",
)
@click.option("--every", required=True, metavar="DURATION", help="The distance between instants.")
@click.option("--from", "start", required=True, metavar="INSTANT", help="The first instant.")
@click.option("--to", "end", required=True, metavar="INSTANT", help="The last instant, inclusive.")
@click.option(
    "--key", "keys", multiple=True, metavar="COLUMN", help="The key columns. [default: all]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The Parquet file to write. [default: target/spine.parquet]",
)
@target_option
@json_option
def spine_command(
    entities: str,
    every: str,
    start: str,
    end: str,
    keys: tuple[str, ...],
    out: Path | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Write a spine of every entity at regular instants, each once, to train or score over."""
    from forebay.training.regular_spine import Instants, write_spine

    project = find_project(target=target)
    path = out or project.root / "target" / "spine.parquet"
    made = write_spine(project, entities, Instants.of(every, start, end), path, keys=keys)
    if as_json:
        emit_json(asdict(made))
        return
    say(
        f"{counted(made.rows, 'row')}: {made.entities:,} entities at "
        f"{counted(made.instants, 'instant')}: {made.out}"
    )
    if made.without_key:
        say(f"{made.without_key} rows have a null key, and are left out")
