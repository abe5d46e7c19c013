"""forebay docs."""

from __future__ import annotations

import click

from forebay.options import target_option
from forebay.project import find_project


@click.command()
@target_option
@click.option("--serve", "serve_site", is_flag=True, help="Serve the site until interrupted.")
@click.option("--port", default=8080, show_default=True)
def docs_command(target: str | None, serve_site: bool, port: int) -> None:
    """Generate dbt's documentation site of the project into target/."""
    project = find_project(target=target)
    project.catalog()  # without the compiled macros dbt cannot render the training sets
    project.dbt(["docs", "generate"])
    if serve_site:
        project.dbt(["docs", "serve", "--port", str(port), "--no-browser"])
