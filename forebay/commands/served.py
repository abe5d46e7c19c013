"""forebay served."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from feature_specs.counted import counted
from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option
from forebay.terminal import complain, emit_json, say


@click.command(epilog="Example: forebay served --json")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path),
              help="Where servers log; else the profile's `serve: {served_folder: FOLDER}`.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what is there to commit, and commit nothing.")
@target_option
@json_option
def served_command(folder: Path | None, dry_run: bool, target: str | None, as_json: bool) -> int:
    """Commit what servers have logged (`forebay serve --log-served`) to forebay.served_vectors."""
    from forebay.serve_settings import read_settings
    from lakehouse.lake import open_lake
    from serving.served.commit_spool import commit_spool

    project = find_project(target=target)
    place = folder or Path(str(read_settings(project, {}).served_folder))
    committed = commit_spool(open_lake(project.catalog().lake), place, dry_run=dry_run)
    if as_json:
        emit_json({"folder": str(place), "dry_run": dry_run, **asdict(committed)})
    else:
        done = "to commit" if dry_run else "committed"
        files, vectors = counted(committed.files, "file"), counted(committed.vectors, "vector")
        say(f"{files} of {vectors} {done}")
    busy = f"another run commits {place} at this moment: run it again"
    return 2 if complain([busy] if committed.busy else []) else 0
