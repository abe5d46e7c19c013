"""forebay docs."""

from __future__ import annotations

import click

from forebay.dbt_project.project import find_project
from forebay.options import target_option
from forebay.terminal import complain, say


@click.command(epilog="Example: forebay docs")
@target_option
@click.option("--serve", "serve_site", is_flag=True, help="Serve the site until interrupted.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
def docs_command(target: str | None, serve_site: bool, port: int) -> int:
    """Generate dbt's documentation site of the project into target/. Exit code 2 if a table of the
    lake cannot be read; the site is made."""
    from forebay.dbt_project.find_holder import find_holder
    from lakehouse.lake import open_lake
    from lakehouse.relations import pin_each
    from serving.listen import check_free

    project = find_project(target=target)
    if serve_site:
        check_free("127.0.0.1", port)  # said now, rather than when the site is made
    catalog = project.catalog()  # without the compiled macros dbt renders no training set
    words = ["docs", "generate"]
    if (held := find_holder(project)) is not None:
        say(f"{held.what}: the site is made without the database's own column types")
        words += ["--empty-catalog", "--no-populate-cache"]
    project.dbt(words)
    failed = pin_each(open_lake(project.lake), catalog.relations).failed
    code = 2 if complain(dict.fromkeys(map(str, failed.values()))) else 0
    if serve_site:
        project.dbt(["docs", "serve", "--port", str(port), "--no-browser"])
    return code
