"""forebay explain."""

from __future__ import annotations

import click

from forebay.options import json_option, target_option
from forebay.project import find_project
from forebay.terminal import emit_json, progress, say


@click.command()
@click.argument("view")
@click.option("--lowering", help="Show the SQL of another lowering, where it is valid.")
@target_option
@json_option
def explain_command(view: str, lowering: str | None, target: str | None, as_json: bool) -> None:
    """Show a view's leaf roles, shape, lowering and why, certificate and SQL."""
    from forebay.compile_project import compile_project

    project = find_project(target=target)
    with progress(True) as report:
        chosen = compile_project(project, progress=report, write=False, only=view).view(view)
    if as_json:
        emit_json(
            {
                "view": view,
                "leaves": {leaf.name: leaf.role for leaf in chosen.leaves},
                "lowering": lowering or chosen.choice.lowering,
                "reasons": list(chosen.choice.reasons),
                "certificate": chosen.certificate.lines(),
                "semantic_hash": chosen.semantic_hash,
                "point_in_time": (
                    chosen.point_in_time(lowering=lowering) if chosen.has_past else None
                ),
            }
        )
        return
    say(chosen.explain(lowering))
