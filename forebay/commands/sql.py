"""forebay sql."""

from __future__ import annotations

import click

from forebay.complete import complete_service
from forebay.dbt_project.project import find_project
from forebay.options import engine_option, json_option, target_option
from forebay.terminal import emit_json, say


@click.command()
@click.argument("service", shell_complete=complete_service)
@click.option("--spine", required=True, help="A table of the lake: namespace.table.")
@engine_option("Whose SQL.")
@click.option("--timestamp", help="The spine's column of instants.")
@click.option("--lag", help="Read features as they stood this long before, such as '15 minutes'.")
@click.option("--pinned", is_flag=True, help="Read each table at the snapshot that it has now.")
@target_option
@json_option
def sql_command(
    service: str,
    spine: str,
    engine: str,
    timestamp: str | None,
    lag: str | None,
    pinned: bool,
    target: str | None,
    as_json: bool,
) -> None:
    """Print SERVICE's features for every row of a spine as SQL, to be pasted.

    Example: forebay sql arrival_delay_v1 --engine trino --spine ml.labels
    """
    from forebay.engines.print_sql import service_sql

    project = find_project(target=target)
    text = service_sql(
        project, service, spine, engine=engine, timestamp=timestamp, lag=lag, pinned=pinned
    )
    if as_json:
        emit_json({"service": service, "engine": engine, "spine": spine, "sql": text})
        return
    say(text)
