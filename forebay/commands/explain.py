"""forebay explain."""

from __future__ import annotations

import click

from forebay.complete import complete_view
from forebay.dbt_project.project import find_project
from forebay.options import engine_option, json_option, target_option
from forebay.terminal import emit_json, progress, say


@click.command()
@click.argument("view", shell_complete=complete_view)
@click.option("--lowering", help="Show the SQL of another lowering, where it is valid.")
@engine_option("The engine that it is to run on.")
@click.option("--no-sql", is_flag=True, help="Leave the SQL out.")
@target_option
@json_option
def explain_command(
    view: str,
    lowering: str | None,
    engine: str,
    no_sql: bool,
    target: str | None,
    as_json: bool,
) -> None:
    """Show a view's leaf roles, shape, lowering and why, certificate and SQL.

    Example: forebay explain carrier_arrivals --no-sql
    """
    from forebay.compilation.compile_project import compile_project
    from forebay.own_team import check_readable

    project = find_project(target=target)
    with progress(True) as report:
        compiled = compile_project(project, progress=report, write=False, only=view)
    check_readable(project, compiled.catalog, [view])
    chosen = compiled.view(view)
    there = chosen.for_engine(engine)
    if as_json:
        emit_json(
            {
                "view": view,
                "leaves": {leaf.name: leaf.role for leaf in chosen.leaves},
                "engine": engine,
                "lowering": lowering or there.choice.lowering,
                "reasons": list(there.choice.reasons),
                "certificate": chosen.certificate.lines(),
                "semantic_hash": chosen.semantic_hash,
                "point_in_time": (
                    chosen.point_in_time(lowering=lowering, engine=engine)
                    if chosen.has_past
                    else None
                ),
            }
        )
        return
    say(chosen.explain(lowering, sql=not no_sql, engine=engine))
