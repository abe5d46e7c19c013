"""forebay import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_specs.counted import counted
from forebay.options import json_option
from forebay.terminal import emit_json, say

if TYPE_CHECKING:
    from forebay.import_feast.import_repository import Imported


@click.group()
def import_command() -> None:
    """Write features that another feature store has as a dbt project.

    Example: forebay import feast ../feature_repo --into my_features
    """


@import_command.command()
@click.argument("repository", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--into",
    default=Path(),
    type=click.Path(path_type=Path),
    help="A dbt project, or a new folder. [default: the project here]",
)
@click.option("--python", help="The Python that has Feast. [default: this one]")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@json_option
def feast(repository: Path, into: Path, python: str | None, dry_run: bool, as_json: bool) -> None:
    """Write a Feast REPOSITORY as sources, feature views and services, and say what is left out.

    What `feast apply` wrote last is read, by the Python that has Feast. Nothing is written over.

    Example: forebay import feast ../feature_repo --into my_features --python ../venv/bin/python
    """
    from forebay.import_feast.import_repository import import_repository

    done = import_repository(repository, into, python=python, write=not dry_run)
    if as_json:
        emit_json(_as_json(done, dry_run))
    else:
        _tell(done, dry_run)


def _as_json(done: Imported, dry_run: bool) -> dict[str, Any]:
    made = done.translation
    return {
        "project": done.registry.project,
        "feast": done.registry.feast,
        "into": str(done.place.root),
        "written": not dry_run,
        "files": sorted(done.files),
        "tables": {f"{made.schema}.{t.name}": t.source.name for t in made.tables},
        "views": {m.name: [f.name for f in m.features] for m in made.models},
        "services": {e.name: [f"{v}.{f}" for v, f in e.features] for e in made.exposures},
        "left": [vars(item) for item in made.left],
        "next": list(done.next),
    }


def _tell(done: Imported, dry_run: bool) -> None:
    made = done.translation
    say(f"project {done.registry.project} of Feast {done.registry.feast}:")
    for table in made.tables:
        say(f"  source {made.schema}.{table.name}: data source {table.source.name}")
    for model in made.models:
        keys = ", ".join(key.name for key in model.keys)
        say(f"  feature view {model.name}: {counted(len(model.features), 'feature')} of {keys}")
    for exposure in made.exposures:
        say(f"  feature service {exposure.name}: {counted(len(exposure.features), 'feature')}")
    if made.left:
        say("Not carried over:")
    for left in made.left:
        hint = f". Hint: {left.hint}" if left.hint else ""
        say(f"  {left.kind} {left.name}: {left.what}{hint}")
    where = done.place.root / done.place.folder
    say("nothing written (--dry-run)" if dry_run else f"wrote {len(done.files)} files to {where}")
    say("Next:")
    for line in done.next:
        say(f"  {line}")
