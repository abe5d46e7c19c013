"""forebay preview."""

from __future__ import annotations

import click

from feature_specs.durations import duration_text
from forebay.complete import complete_key, complete_view
from forebay.dbt_project.project import find_project
from forebay.options import json_option, run_instant, target_option
from forebay.terminal import as_sql, emit_json, progress, say, table


@click.command(
    epilog="Example: forebay preview card_activity --key customer_id=7 --at 2026-11-20T12:00:00Z"
)
@click.argument("view", shell_complete=complete_view)
@click.option(
    "--key",
    "keys",
    multiple=True,
    required=True,
    metavar="NAME=VALUE",
    shell_complete=complete_key,
    help="Once for each key column.",
)
@click.option("--at", "now", help="The instant; else the dbt var forebay_now, else now.")
@click.option(
    "--request",
    "requests",
    multiple=True,
    metavar="NAME=VALUE",
    help="Once for each value that a caller sends.",
)
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
    from forebay.compilation.compile_project import compile_project
    from forebay.preview import preview

    project = find_project(target=target)
    at = run_instant(project, now, "--at")
    with progress(True) as report:
        compiled = compile_project(project, progress=report, write=False, only=view)
    made = preview(project, compiled, view, keys, requests, at, rows, past=now is not None)
    if as_json:
        emit_json(
            {
                "at": at.isoformat(),
                "features": made.features,
                "rows": made.rows,
                "of": made.total,
                "expired": made.expired is not None,
            }
        )
        return
    say(f"{view} at {at.isoformat()}")
    say(table([(k, as_sql(v)) for k, v in made.features.items()], ("feature", "value")))
    if made.expired is not None:
        ttl = duration_text(made.expired)
        say(f"\nall null: what is known is older than the view's ttl of {ttl}")
    if made.total is None:
        say("\nits source rows cannot be shown: the query joins them into others")
        return
    say(
        f"\nfrom {made.total} visible rows" + (f", the last {len(made.rows)}:" if made.rows else "")
    )
    if made.rows:
        say(table([tuple(map(as_sql, r.values())) for r in made.rows], tuple(made.rows[0])))
