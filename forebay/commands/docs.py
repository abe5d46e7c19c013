"""forebay docs."""

from __future__ import annotations

import click

from forebay.options import target_option
from forebay.project import find_project
from forebay.terminal import say


@click.command()
@target_option
@click.option("--serve", "serve_site", is_flag=True, help="Serve the site until interrupted.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
def docs_command(target: str | None, serve_site: bool, port: int) -> None:
    """Generate dbt's documentation site of the project into target/."""
    from forebay.find_holder import find_holder
    from serving.listen import check_free

    project = find_project(target=target)
    if serve_site:
        check_free("127.0.0.1", port)  # said now, rather than when the site is made
    project.catalog()  # without the compiled macros dbt cannot render the training sets
    words = ["docs", "generate"]
    if (held := find_holder(project)) is not None:
        say(f"{held.what}: the site is made without the database's own column types")
        words += ["--empty-catalog", "--no-populate-cache"]
    project.dbt(words)
    if serve_site:
        project.dbt(["docs", "serve", "--port", str(port), "--no-browser"])
