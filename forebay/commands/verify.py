"""forebay verify."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from forebay.complete import complete_view
from forebay.options import json_option, now_option, run_instant, target_option
from forebay.project import find_project
from forebay.terminal import complain, emit_json, say, table

if TYPE_CHECKING:
    from serving.verify import VerifyReport


@click.command(epilog="Example: forebay verify card_activity --json")
@click.argument("views", nargs=-1, shell_complete=complete_view)
@now_option
@target_option
@json_option
def verify_command(
    views: tuple[str, ...], now: str | None, target: str | None, as_json: bool
) -> int:
    """Compare VIEWS, or all, online with offline, value by value. Exit code 1 if they differ, 2
    if a view cannot be compared; the others are."""
    from forebay.project_changes import tell_changes
    from serving.verify import verify

    project = find_project(target=target)
    at = run_instant(project, now)
    catalog = project.catalog()
    tell_changes(project, catalog, "What was built last is verified")
    reports = verify(catalog, list(views) or None, now=at)
    failed = [r for r in reports if not r.ok]
    code = 1 if failed else 0
    if as_json:
        emit_json([{**asdict(r), "ok": r.ok} for r in reports])
        return 2 if complain(r.error for r in reports if r.error) else code
    rows = [
        (r.view, _verdict(r), r.offline_rows, r.online_rows, r.values, r.different, r.missing,
         r.extra)
        for r in reports
    ]  # fmt: skip
    header = ("view", "verdict", "offline", "online", "values", "different", "missing", "extra")
    say(table(rows, header))
    for report in failed:
        for example in report.examples[:3]:
            say(f"  {report.view}: {example}")
    return 2 if complain(r.error for r in reports if r.error) else code


def _verdict(report: VerifyReport) -> str:
    if report.error:
        return "FAILED"
    return "ok" if report.ok else "STALE" if report.equal else "DIFFERS"
