"""forebay catalogue."""

from __future__ import annotations

from pathlib import Path

import click

from feature_specs.errors import DataError
from forebay.dbt_project.project import find_project
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, progress, say


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option(
    "--url",
    default="http://localhost:6566",
    show_default=True,
    help="The lookup server that snippets name.",
)
@click.option("--dry-run", is_flag=True, help="Count the pages, and write nothing.")
@target_option
@json_option
def catalogue_command(
    out: Path, url: str, dry_run: bool, target: str | None, as_json: bool
) -> None:
    """Write the catalogue as a static site, which opens from disk and needs no server.

    Example: forebay catalogue --out site/
    """
    from feature_specs.catalogue_facts import FACTS, load_facts
    from feature_specs.feature_shapes import SHAPES, load_shapes
    from feature_specs.skew_figures import SKEWS, load_skews
    from forebay.dbt_project.project_changes import tell_changes
    from serving.catalogue.export import export_site
    from serving.catalogue.live import Live
    from serving.catalogue.snippets import SnippetSettings

    project = find_project(target=target)
    catalog = project.catalog()
    tell_changes(project, catalog, "The catalogue is of what was compiled last")
    facts = load_facts(project.folder / FACTS)
    if catalog.views and not facts.views:  # a server's pages tell less then; these would stay so
        raise DataError(
            "missing, damaged or another version's",
            where=str(project.folder / FACTS),
            hint="run `forebay compile`",
        )
    shapes = load_shapes(project.folder / SHAPES)
    live = Live(
        place=SnippetSettings(url.rstrip("/"), now=catalog.now or ""),
        folder=project.folder,
        shapes=shapes,
        skews=load_skews(project.folder / SKEWS),
    )
    with progress(as_json) as report:
        pages = export_site(catalog, facts, out.absolute(), live, report, dry_run=dry_run)
    features = sum(len(view.features) for view in catalog.views.values())
    if as_json:
        emit_json({"out": str(out), "pages": pages, "features": features})
        return
    where = " (--dry-run)" if dry_run else f": {out / 'index.html'}"
    say(f"{pages:,} pages{where}")
