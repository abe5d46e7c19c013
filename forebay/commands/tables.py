"""forebay tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from feature_specs.counted import counted
from feature_specs.errors import ForebayError
from forebay.complete import complete_table
from forebay.dbt_project.project import Project, find_project
from forebay.options import json_option, target_option
from forebay.terminal import complain, emit_json, rows_text, say, size_text
from forebay.terminal import table as aligned

if TYPE_CHECKING:
    from lakehouse.describe_tables import TableFacts


@click.command(epilog="Example: forebay tables shop.sales")
@click.argument("name", required=False, shell_complete=complete_table)
@target_option
@json_option
def tables_command(name: str | None, target: str | None, as_json: bool) -> int:
    """List the lake's tables with their rows, sizes and snapshots; of the table NAME show the
    columns too."""
    from lakehouse.describe_tables import describe_table
    from lakehouse.lake import open_lake, table_names

    project = find_project(target=target)
    lake = open_lake(project.lake)
    if name is not None:
        facts = describe_table(lake, name)
        if as_json:
            emit_json(_as_json(project, facts))
        else:
            _show(project, facts)
        return 0
    found: list[TableFacts] = []
    failed: list[ForebayError] = []
    for each in table_names(lake):
        try:
            found.append(describe_table(lake, each))
        except ForebayError as error:
            failed.append(error)
    if as_json:
        emit_json([_as_json(project, facts) for facts in found])
    elif found:
        say(aligned([_row(facts) for facts in found], _HEADER))
    elif not failed:
        say("no table yet: `forebay ingest TABLE FILE` makes one")
    return 2 if complain(map(str, failed)) else 0


_HEADER = ("table", "rows", "size", "snapshots", "columns", "changed")


def _row(facts: TableFacts) -> tuple[str, ...]:
    rows = "unknown" if facts.rows is None else f"{facts.rows:,}"
    counts = (str(facts.snapshots), str(len(facts.columns)))
    return (facts.name, rows, size_text(facts.bytes), *counts, _changed(facts))


def _show(project: Project, facts: TableFacts) -> None:
    from forebay.compilation.table_readers import table_readers

    counts = (counted(facts.files, "file"), counted(facts.snapshots, "snapshot"))
    said = (rows_text(facts.rows), size_text(facts.bytes), *counts)
    say(f"{facts.name}: {', '.join(said)}")
    say(f"changed: {_changed(facts)}")
    say(f"read by: {', '.join(table_readers(project, facts.name)) or 'no compiled feature view'}")
    rows = [(n, k, "not null" if n in facts.required else "") for n, k in facts.columns.items()]
    say(aligned(rows, ("column", "type", "")))


def _changed(facts: TableFacts) -> str:
    return "never" if facts.changed is None else f"{facts.changed:%Y-%m-%d %H:%M:%SZ}"


def _as_json(project: Project, facts: TableFacts) -> dict[str, Any]:
    from forebay.compilation.table_readers import table_readers

    changed = facts.changed and facts.changed.isoformat()
    return {**asdict(facts), "changed": changed, "readers": table_readers(project, facts.name)}
