"""forebay compare."""

from __future__ import annotations

from dataclasses import asdict

import click

from feature_specs.counted import counted
from forebay.complete import complete_view
from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, say, table


@click.command(epilog="Example: forebay compare card_activity_v1 card_activity_v2")
@click.argument("old", shell_complete=complete_view)
@click.argument("new", shell_complete=complete_view)
@target_option
@json_option
def compare_command(old: str, new: str, target: str | None, as_json: bool) -> int:
    """Compare two feature views as last built, such as two versions of one: how many entities differ
    in each feature, and how the queries differ. Exit code 1 if any value differs."""
    from forebay.planning.compare_views import compare_views

    project = find_project(target=target)
    made = compare_views(project, project.catalog(), old, new)
    if as_json:
        emit_json({**asdict(made), "equal": made.equal})
        return 0 if made.equal else 1
    say(f"{counted(made.entities, 'entity', 'entities')} in both, "
        f"{made.only_old:,} only in {old}, {made.only_new:,} only in {new}")  # fmt: skip
    rows = [(name, f"{number:,}") for name, number in made.different.items()]
    if rows:
        say(table(rows, ("feature", "different")))
    for names, where in ((made.removed, old), (made.added, new)):
        if names:
            say(f"only in {where}: {', '.join(names)}")
    for line in made.why:
        say(f"  {line}")
    return 0 if made.equal else 1
