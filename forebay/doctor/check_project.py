"""Check dbt_project.yml, the profile and the compiled project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version

from feature_specs.catalog import Catalog
from feature_specs.catalogue_facts import FACTS, load_facts
from feature_specs.compiler_version import COMPILER_VERSION
from feature_specs.errors import ForebayError
from forebay.dbt_project.check_setup import profile_faults, project_faults
from forebay.dbt_project.project import Project
from forebay.dbt_project.project_changes import project_changes, shorten
from forebay.doctor.check import Diagnosis, fail, of_error, ok, warn
from forebay.serve_settings import read_settings
from lineage.project_lineage import FILE, load_project_lineage

PROJECT, PROFILE, COMPILED, SERVE = "project", "profile", "compiled", "serve"
_INIT = "run `forebay init --here`, which shows what it would change and asks"


def check_project(project: Project) -> Iterator[Diagnosis]:
    """Check for what dbt_project.yml lacks."""
    faults = list(project_faults(project.root, project.settings))
    for fault in faults:
        yield fail(PROJECT, f"{fault.file}: {fault.what}", _pasted(fault.paste))
    if not faults:
        yield ok(PROJECT, f"{project.settings.get('name')}, at {project.root}")


def check_profile(project: Project) -> Iterator[Diagnosis]:
    """Check for what the target in profiles.yml lacks."""
    target = project.profile_target
    faults = list(profile_faults(target))
    for fault in faults:
        yield fail(PROFILE, f"{fault.file}: {fault.what}", _pasted(fault.paste))
    if not faults:
        yield ok(PROFILE, f"target {target.name!r} of {target.file}")


def _pasted(text: str) -> str:
    return f"{_INIT}, or paste:\n{text.rstrip()}" if text else _INIT


def check_serve(project: Project) -> Iterator[Diagnosis]:
    """Check the profile's settings of `forebay serve`: keys, tokens and certificates must be readable."""
    if not project.serve_section:
        return
    settings = read_settings(project, {})
    settings.gate()
    settings.tls()
    settings.check_audit()
    settings.served_log()
    yield ok(SERVE, "the settings of `forebay serve` can be read")


def check_compiled(project: Project) -> Iterator[Diagnosis]:
    """Check that what was compiled is the project as it stands now, by this forebay."""
    catalog = compiled(project)
    if catalog is None:
        yield warn(COMPILED, "nothing is compiled yet", "run `forebay compile`, or `forebay build`")
        return
    yield ok(COMPILED, f"{len(catalog.views)} feature views, {len(catalog.services)} services")
    yield from _unread(project, catalog)
    for out in catalog.left_out.values():
        yield fail(COMPILED, f"{out.name} is left out: {out.what}", out.hint)
    if catalog.compiler_version != COMPILER_VERSION:
        yield warn(
            COMPILED,
            f"compiled by forebay {catalog.compiler}, and {version('forebay')} gives queries another "
            "meaning here and there",
            "run `forebay build`, which recomputes what that concerns",
        )
    changed = project_changes(project, catalog)
    if changed:
        yield warn(COMPILED, f"changed since: {shorten(changed)}", "run `forebay plan`")


def _unread(project: Project, catalog: Catalog) -> Iterator[Diagnosis]:
    """What was compiled beside catalog.json and cannot be read, which nothing that serves notices."""
    if catalog.views and not load_facts(project.folder / FACTS).views:
        what = f"{project.folder / FACTS}: missing, damaged or another version's"
        yield warn(COMPILED, f"{what}, so that the catalogue tells less", "run `forebay compile`")
    try:
        load_project_lineage(project.folder / FILE)
    except ForebayError as error:
        yield replace(of_error(COMPILED, error), status="warn")


def compiled(project: Project) -> Catalog | None:
    """What was compiled, if anything was; read once for all checks."""
    try:
        written = project.catalog_path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return _catalog(project, written)


@lru_cache(maxsize=1)
def _catalog(project: Project, written: int) -> Catalog:
    return project.catalog()
