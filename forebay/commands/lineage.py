"""forebay lineage."""

from __future__ import annotations

import click

from forebay.complete import complete_lineage
from forebay.dbt_project.find_root import compiled_folder, find_root
from forebay.options import json_option
from forebay.terminal import emit_json, say


@click.command()
@click.argument("name", shell_complete=complete_lineage)
@click.option("--upstream", is_flag=True, help="Only what it is computed from.")
@click.option("--downstream", is_flag=True, help="Only what is computed from it.")
@click.option("--depth", type=click.IntRange(1), help="How many edges to follow; all by default.")
@click.option("--ties", is_flag=True, help="Also show columns that only break ties between rows.")
@click.option("--mermaid", is_flag=True, help="Print a flowchart for Markdown.")
@json_option
def lineage_command(
    name: str,
    upstream: bool,
    downstream: bool,
    depth: int | None,
    ties: bool,
    mermaid: bool,
    as_json: bool,
) -> None:
    """Show what a feature is computed from, and what a column feeds into, as last compiled.

    NAME is TABLE.COLUMN, VIEW.FEATURE, MODEL.COLUMN, or a table, view, service, training set or exposure.

    \b
    Example: forebay lineage nyc.flights.dep_delay --downstream
             forebay lineage carrier_arrivals.late_share_7d --upstream
    """
    from lineage import draw
    from lineage.project_lineage import FILE, load_project_lineage
    from lineage.walk import Direction, Graph

    graph = Graph(load_project_lineage(compiled_folder(find_root()) / FILE))
    start = graph.find(name)
    both = upstream == downstream
    directions: list[Direction] = []
    directions += ["upstream"] if upstream or both else []
    directions += ["downstream"] if downstream or both else []
    found = {d: graph.walk(start, d, depth, ties=ties) for d in directions}
    if as_json:
        emit_json({"node": start._asdict(), **{d: draw.as_json(e) for d, e in found.items()}})
    elif mermaid:
        say(draw.mermaid([e for edges in found.values() for e in edges]))
    else:
        for direction, edges in found.items():
            if both and not edges:
                continue
            text = draw.tree(start, edges, direction)
            say(f"{direction}:\n{text}" if both else text)
