"""forebay switch."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from forebay.complete import complete_view
from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option, wait_option
from forebay.terminal import emit_json, progress, say, table

if TYPE_CHECKING:
    from forebay.builds.switch_view import KeptRows, Switched


@click.command(
    epilog="Example: git checkout HEAD~1 -- models/card_activity.sql && "
    "forebay switch card_activity --back"
)
@click.argument("view", shell_complete=complete_view)
@click.option(
    "--back", is_flag=True, help="Switch to the kept rows of the definition in the project now."
)
@click.option("--dry-run", is_flag=True, help="Check that it can be switched, and change nothing.")
@wait_option
@target_option
@json_option
def switch_command(
    view: str, back: bool, dry_run: bool, wait: float | None, target: str | None, as_json: bool
) -> int:
    """List the rows of VIEW's earlier definitions, which a build keeps for a day, and switch back to
    them, offline and online, without computing anything."""
    from forebay.builds.switch_view import check_kept, list_rows, switch_view_back
    from forebay.compilation.compile_project import compile_project
    from lakehouse.run_lock import hold_project

    project = find_project(target=target)
    if not back:
        with progress(as_json) as report:
            catalog = compile_project(project, progress=report, write=False).catalog
        _list(list_rows(project, catalog, view), as_json)
        return 0
    with hold_project(project.folder, "forebay switch", wait):
        with progress(as_json) as report:
            compiled = compile_project(project, progress=report, write=False)
            check_kept(project, compiled.catalog, view)
            if dry_run:
                _tell_dry(view, as_json)
                return 0
            catalog = compile_project(project, progress=report).catalog
        _tell(switch_view_back(project, catalog, view), as_json)
    return 0


def _list(rows: list[KeptRows], as_json: bool) -> None:
    from feature_specs.instants import from_epoch_us

    def shown(us: int | None) -> str:
        return "" if us is None else f"{from_epoch_us(us):%Y-%m-%d %H:%M:%S} UTC"

    if as_json:
        emit_json([asdict(r) for r in rows])
        return
    lines = [
        (
            r.semantic_hash[:12],
            "current" if r.current else "kept",
            "yes" if r.compiled else "",
            shown(r.at),
            shown(r.until),
        )
        for r in rows
    ]
    say(table(lines, ("definition", "rows", "in the project", "as of", "kept until")))
    for r in rows:
        for line in r.differs:
            say(f"{r.semantic_hash[:12]}: {line}")


def _tell_dry(view: str, as_json: bool) -> None:
    if as_json:
        emit_json({"view": view, "dry_run": True})
    else:
        say(f"{view}: would be switched back, offline and online")


def _tell(done: Switched, as_json: bool) -> None:
    from feature_specs.instants import from_epoch_us

    if as_json:
        made: dict[str, Any] = {**asdict(done), "dry_run": False}
        emit_json(made)
        return
    online = "no online store" if done.online is None else f"{done.online.rows:,} rows online"
    say(f"{done.view}: switched back to rows as of {from_epoch_us(done.at).isoformat()}, {online}")
