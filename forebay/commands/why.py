"""forebay why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forebay.complete import complete_lineage
from forebay.dbt_project.project import find_project
from forebay.options import json_option, run_instant, target_option
from forebay.terminal import as_sql, emit_json, say, table

if TYPE_CHECKING:
    from forebay.why.explain_value import Origin, SourceTable, Why


@click.command(
    epilog="Example: forebay why card_fraud_v1.spent_7d --key customer_id=7 --at 2026-11-20T12:00:00Z"
)
@click.argument("name", shell_complete=complete_lineage)
@click.option("--key", "keys", multiple=True, required=True, metavar="NAME=VALUE",
              help="Once for each key column.")  # fmt: skip
@click.option("--at", "now", help="The instant; else the dbt var forebay_now, else now.")
@click.option("--request", "requests", multiple=True, metavar="NAME=VALUE",
              help="Once for each value that a caller sends.")  # fmt: skip
@click.option("--online", "origin", flag_value="online", help="What the online store answers.")
@click.option("--served", "origin", flag_value="served",
              help="What was served last, up to --at, by the log of served vectors.")  # fmt: skip
@click.option("--rows", default=20, show_default=True, type=click.IntRange(0),
              help="How many source rows of a table to show.")  # fmt: skip
@click.option("--most", default=1_000, show_default=True, type=click.IntRange(0),
              help="Take so many rows away, the newest first, to see what the value is without each.")  # fmt: skip
@target_option
@json_option
def why_command(
    name: str,
    keys: tuple[str, ...],
    now: str | None,
    requests: tuple[str, ...],
    origin: Origin | None,
    rows: int,
    most: int,
    target: str | None,
    as_json: bool,
) -> int:
    """Show where one value comes from: the source rows behind it, what it would be without each, their
    snapshots, and the view's SQL.

    NAME is SERVICE.FEATURE or VIEW.FEATURE. Exit code 1 if what is online, or was served, is not what
    its rows come to.
    """
    from forebay.serve_settings import read_settings
    from forebay.why.explain_value import explain_value
    from serving.settings import read_secret

    project = find_project(target=target)
    at = run_instant(project, now, "--at")
    path = read_settings(project, {}).served_secret if origin == "served" else None
    found = explain_value(
        project,
        name,
        keys,
        at,
        requests=requests,
        origin=origin or "offline",
        most=most,
        secret=None if path is None else read_secret(Path(path)),
    )
    if as_json:
        emit_json(_plain(found))
    else:
        _tell(found, rows)
    return int(not found.agrees)


def _plain(found: Why) -> dict[str, Any]:
    return {
        **{n: v for n, v in vars(found).items() if n not in ("parts", "tables")},
        "value": found.parts.value,
        "agrees": found.agrees,
        "tables": [
            {**asdict(t), "rows": [_row(part) for part in found.rows_of(t)]} for t in found.tables
        ],
        "candidates": found.parts.candidates,
        "examined": found.parts.examined,
    }


def _row(part: Any) -> dict[str, Any]:
    return {"row": part.row, "without": part.without, "shared": part.shared}


def _tell(found: Why, most: int) -> None:
    key = ", ".join(f"{n}={v}" for n, v in found.key.items())
    by = f" (service {found.service})" if found.service else ""
    say(f"{found.feature}{by} of {key} at {found.at.isoformat()}")
    if found.loaded_at != found.at:
        say(f"from rows of {found.loaded_at.isoformat()}")
    words = {"offline": "value", "online": "online", "served": "served"}
    say(f"{words[found.origin]}: {as_sql(found.told)}")
    if not found.agrees:
        say(f"its source rows come to {as_sql(found.parts.value)}: see `forebay verify`")
    if found.note:
        say(found.note)
    for source in found.tables:
        _tell_table(found, source, most)
    parts = found.parts
    rest = parts.examined - len(parts.parts)
    say(f"\nthe query may read {parts.candidates:,} rows for it; {rest:,} of them have no part")
    if parts.examined < parts.candidates:
        left = parts.candidates - parts.examined
        say(f"{left:,} older rows were not looked at: --most {parts.candidates} does")
    say(f"\n{found.file}:\n\n{found.sql}")


def _tell_table(found: Why, source: SourceTable, most: int) -> None:
    state = "empty" if source.committed is None else source.committed.isoformat()
    rows = found.rows_of(source)
    say(f"\n{source.table} at snapshot {source.snapshot} ({state}): {len(rows):,} rows have a part")
    if rows:
        shown = [
            (
                *map(as_sql, part.row.values()),
                "the same: another row does" if part.shared else as_sql(part.without),
            )
            for part in rows[:most]
        ]
        if shown:
            say(table(shown, (*rows[0].row, "without it")))
        if len(rows) > most:
            say(f"and {len(rows) - most:,} more: --rows {len(rows)}")
