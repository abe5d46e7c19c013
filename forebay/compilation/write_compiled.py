"""Write what was compiled under target/forebay, in one go and never beneath a build."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from feature_specs.catalog import Catalog
from forebay.compilation.generate_macros import DISPATCHER, ServiceSql, generate_macros
from forebay.dbt_project.project import Project
from lakehouse.plans import plan_folder
from lakehouse.run_lock import hold_project
from lakehouse.write_text import has_text, write_if_changed


def write_compiled(
    project: Project,
    catalog: Catalog,
    plans: Mapping[str, Mapping[str, str]],
    services: Mapping[str, ServiceSql],
    beside: Mapping[str, str],
) -> None:
    """Write plans, services, macros and, last, the catalog. What is there already stays as it is.

    Args:
        plans: view name to the files of its plan.
        beside: files that stand beside the catalog and that no build reads, name to text.

    Raises:
        HeldError: something must be written, and a build of another process is reading it.
    """
    folder = project.folder
    files = {folder / name: text for name, text in beside.items()}
    files |= _files(folder, catalog, plans, services)
    stale = _stale(folder, files)
    if not stale and all(has_text(p, text) for p, text in files.items()):
        return
    with hold_project(folder, "forebay compile"):
        if not (folder / "macros" / DISPATCHER).exists():
            # dbt's cache of a parse without the macro does not know who will call it.
            (project.root / "target" / "partial_parse.msgpack").unlink(missing_ok=True)
        for path, text in files.items():
            write_if_changed(path, text)
        for path in stale:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _files(
    folder: Path,
    catalog: Catalog,
    plans: Mapping[str, Mapping[str, str]],
    services: Mapping[str, ServiceSql],
) -> dict[Path, str]:
    files = {
        plan_folder(folder, view) / name: text + "\n"
        for view, plan in plans.items()
        for name, text in plan.items()
    }
    home = plan_folder(folder, "services")
    files |= {home / f"{n}.sql": s.template for n, s in services.items() if not s.no_past}
    macros = generate_macros(catalog, services)
    files |= {folder / "macros" / name: text for name, text in macros.items()}
    return files | {folder / "catalog.json": catalog.dumps()}


def _stale(folder: Path, files: Mapping[Path, str]) -> list[Path]:
    """Plans of views that are gone, and statements that a plan or a service no longer has."""
    homes = {path.parent for path in files} | {plan_folder(folder, "services")}
    out = []
    for home in plan_folder(folder, "services").parent.glob("*"):
        if home.is_dir() and home not in homes:
            out.append(home)
        elif home.is_dir():
            out += [
                p for p in home.glob("[!.]*") if p not in files and p.suffix in (".sql", ".json")
            ]
    return out
