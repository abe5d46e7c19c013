"""forebay serve."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from forebay.dbt_project.project import find_project
from forebay.options import now_option, target_option
from forebay.terminal import complain


@click.command(epilog="Example: forebay serve --port 6566 --workers 2 --keys keys.json")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=6566, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
@click.option("--keys", type=click.Path(), help="The file of API keys: who sends none is refused.")
@click.option("--jwks", help="A file or https URL of the keys that sign tokens (JWT).")
@click.option("--jwt-issuer", help="The tokens' iss.")
@click.option("--jwt-audience", help="The tokens' aud.")
@click.option("--jwt-team", help="The claim that names a token's team; `team` by default.")
@click.option("--requests-per-second", type=click.FloatRange(0, min_open=True), help="Of a team.")
@click.option(
    "--cells-per-second",
    type=click.FloatRange(0, min_open=True),
    help="Entities times features, of a team.",
)
@click.option("--audit", type=click.Path(), help="A file for who asked for what; - for stdout.")
@click.option(
    "--log-served",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Log what was answered of this share of entities, for `forebay served`.",
)
@click.option("--served-folder", type=click.Path(), help="Where it waits for `forebay served`.")
@click.option(
    "--served-secret", type=click.Path(), help="Log hashes of keys, under the secret in this file."
)
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=N", help="As docs/operations.md has them."
)
@click.option("--insecure", is_flag=True, default=None, help="Answer everybody, on any --host.")
@click.option("--tls-cert", type=click.Path(), help="Serve https: a PEM file of the certificate.")
@click.option("--tls-key", type=click.Path(), help="Of its key, where that is in another file.")
@click.option(
    "--tls-client-ca", type=click.Path(), help="Clients' certificates are signed by these."
)
@click.option("--tls-min-version", type=click.Choice(["1.2", "1.3"]), help="1.2 by default.")
@now_option
@target_option
def serve_command(
    host: str, port: int, workers: int, now: str | None, target: str | None, **options: Any
) -> None:
    """Answer POST /get-online-features; the catalogue page is at /, metrics at /metrics."""
    from feature_specs.instants import parse_instant
    from forebay.dbt_project.project_changes import tell_changes
    from forebay.serve_settings import read_settings
    from serving.lookup.views import ready_views
    from serving.server import serve

    project = find_project(target=target)
    settings = read_settings(project, options)
    catalog = project.catalog()
    tell_changes(project, catalog, "What was compiled last is served")
    if now is not None:
        catalog = replace(catalog, now=parse_instant(now, where="--now").isoformat())
    complain(
        f"feature view {name!r} is answered with 503: {error}"
        for name, error in ready_views(catalog)[1].items()
    )
    serve(
        catalog,
        host,
        port,
        workers,
        project.catalog_path,
        fixed_clock=now is not None,
        settings=settings,
    )
