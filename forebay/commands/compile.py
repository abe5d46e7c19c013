"""forebay compile."""

from __future__ import annotations

import click

from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, progress, say, table


@click.command(epilog="Example: forebay compile --dry-run")
@target_option
@json_option
@click.option("--dry-run", is_flag=True, help="Compile and report, but write nothing.")
def compile_command(target: str | None, as_json: bool, dry_run: bool) -> None:
    """Compile every feature view and service into target/forebay."""
    from forebay.compilation.compile_project import compile_project

    project = find_project(target=target)
    with progress(as_json) as report:
        compiled = compile_project(project, progress=report, write=not dry_run)
    views = compiled.catalog.views.values()
    if as_json:
        emit_json(
            {
                "views": {
                    v.name: {
                        "lowering": v.lowering,
                        "semantic_hash": v.semantic_hash,
                        "features": [f.name for f in v.features],
                    }
                    for v in views
                },
                "services": {s.name: len(s.features) for s in compiled.catalog.services.values()},
                "written": None if dry_run else str(project.folder),
            }
        )
        return
    rows = [
        (v.name, ", ".join(c.name for c in v.entities), len(v.features), v.lowering) for v in views
    ]
    say(table(rows, ("view", "entities", "features", "lowering")))
    say("nothing written (--dry-run)" if dry_run else f"written to {project.folder}")
