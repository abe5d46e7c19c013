"""forebay preview."""

from __future__ import annotations

import click

from forebay.options import json_option, run_instant, target_option
from forebay.project import find_project
from forebay.terminal import emit_json, progress, say, table


@click.command()
@click.argument("view")
@click.option("--key", "keys", multiple=True, required=True, help="name=value, once a key column.")
@click.option("--at", "now", help="The instant; else the dbt var forebay_now, else now.")
@click.option("--request", "requests", multiple=True, help="name=value, once a request value.")
@click.option("--rows", default=10, show_default=True, help="How many source rows to show.")
@target_option
@json_option
def preview_command(
    view: str,
    keys: tuple[str, ...],
    now: str | None,
    requests: tuple[str, ...],
    rows: int,
    target: str | None,
    as_json: bool,
) -> None:
    """Show VIEW's vector for one entity at one instant, with the rows that it came from."""
    from forebay.compile_project import compile_project
    from forebay.preview import preview

    project = find_project(target=target)
    at = run_instant(project, now)
    with progress(True) as report:
        compiled = compile_project(project, progress=report, write=False, only=view)
    made = preview(compiled, view, keys, requests, at, rows, past=now is not None)
    if as_json:
        emit_json(
            {"at": at.isoformat(), "features": made.features, "rows": made.rows, "of": made.total}
        )
        return
    say(f"{view} at {at.isoformat()}")
    say(table([(k, v) for k, v in made.features.items()], ("feature", "value")))
    if made.total is None:
        say("\nno single row stands for itself in this query")
        return
    say(
        f"\nfrom {made.total} visible rows" + (f", the last {len(made.rows)}:" if made.rows else "")
    )
    if made.rows:
        say(table([tuple(r.values()) for r in made.rows], tuple(made.rows[0])))
