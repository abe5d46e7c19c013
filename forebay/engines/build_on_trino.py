"""`forebay build --target trino`: dbt-trino runs the project, on the lake of its DuckDB target."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from feature_specs.errors import ForebayError
from feature_specs.manifest import Manifest
from forebay.compilation.compile_project import compile_project
from forebay.compilation.current_service import CompiledService
from forebay.dbt_project.check_setup import PLUGIN, profile_faults
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_profile import read_target
from forebay.dbt_project.run_dbt import VARIABLE, dbt_program
from forebay.engines.connect_engine import check_package, engine_connector
from forebay.terminal import progress
from lakehouse.dbt_plugin import NOW_VARIABLE


def home_project(project: Project) -> Project:
    """The project by its target that names the lake: the profile's own, else the first that does.

    Raises:
        ForebayError: the profile has none.
    """
    target = project.profile_target
    file = project.profiles / "profiles.yml"
    default = read_target(file, target.profile, None).name
    for name in dict.fromkeys([default, *(target.known or [])]):
        if name in (target.known or []):
            found = read_target(file, target.profile, name)
            if (found.output or {}).get("type") == "duckdb" and not any(profile_faults(found)):
                return replace(project, target=name)
    raise ForebayError(
        f"profile {target.profile!r} has no target of `type: duckdb` with the plugin {PLUGIN}",
        where=str(file),
        hint="keep one beside the Trino: it says where the lake is, and compiles the features",
    )


def build_on_trino(
    project: Project,
    home: Project,
    at: datetime,
    *,
    select: Sequence[str],
    full_refresh: bool,
    quiet: bool,
) -> None:
    """Compile, and let dbt-trino build.

    Args:
        home: the project by the target that names the lake.
        at: T.

    Raises:
        ForebayError: a model or a test failed, or the setup lacks something.
    """
    check_package("dbt.adapters.trino", "trino", f"target {project.profile_target.name!r}")
    connect_to = engine_connector("trino", project)
    if dbt_program() is not None:
        raise ForebayError(
            "on Trino dbt has to run in forebay's own process",
            where=VARIABLE,
            hint="unset it, and install dbt-core 1.11 here",
        )
    with progress(quiet) as report:
        made = compile_project(home, progress=report)
    from forebay.engines.trino_methods import TrinoMethods, offered_to_models
    from forebay.engines.trino_settings import trino_settings

    settings = trino_settings(project)
    services = {
        name: CompiledService(name, made.catalog, sql.template, lambda: made)
        for name, sql in made.services.items()
    }
    methods = TrinoMethods(made.catalog, services, home.folder, connect_to, settings.catalog)
    words = ["build", *(["--full-refresh"] if full_refresh else [])]
    words += ["--select", *select] if select else []
    left_out = _built_at_home(made.manifest)
    words += ["--exclude", *left_out] if left_out else []
    os.environ[NOW_VARIABLE] = at.isoformat()
    try:
        with offered_to_models(methods):
            project.dbt(words, quiet=quiet)
    finally:
        del os.environ[NOW_VARIABLE]


def _built_at_home(manifest: Manifest) -> list[str]:
    """dbt selectors of seeds, snapshots and models that stand as leaves: the lake has their rows
    from the DuckDB target, under the names that dbt-trino would give its own tables of them."""
    return [f"fqn:{'.'.join(manifest.nodes[i]['fqn'])}" for i in manifest.leaf_nodes()]
