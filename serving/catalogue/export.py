"""The catalogue as files: pages, what they load, and the features for the search in the browser."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from feature_specs.catalog import Catalog
from feature_specs.catalogue_facts import CatalogueFacts
from feature_specs.errors import ForebayError
from feature_specs.progress import Progress
from serving.catalogue.directory import Directory
from serving.catalogue.facets import FACETS
from serving.catalogue.live import NO_EXAMPLES, Live
from serving.catalogue.pages import LISTS
from serving.catalogue.site import Site, assets

#: The file that says that a folder is an earlier export, which the next one replaces.
MARK = ".forebay-catalogue"


def export_site(
    catalog: Catalog,
    facts: CatalogueFacts,
    out: Path,
    live: Live,
    progress: Progress,
    *,
    dry_run: bool = False,
) -> int:
    """Write every page as a file; how many there are.

    The folder is replaced as a whole, once all of it is written beside it.

    Args:
        live: says where snippets look up, and where the compiled SQL is; nothing of it that changes
            from one moment to the next is written, and no values of entities are.

    Raises:
        ForebayError: the folder holds something that is no earlier export.
    """
    _check(out)
    directory = Directory(catalog, facts, catalog.access)
    site = Site(directory, static=True)
    live = replace(live, online={}, examples=NO_EXAMPLES)
    count = len(directory.features) + len(LISTS) + len(site.finder.others) + 2
    if dry_run:
        return count
    beside = out.parent / f".{out.name}.{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for number, (name, text) in enumerate(_files(site, live), 1):
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            progress("catalogue", min(number, count), count)
        for name, body in assets().items():
            (beside / "assets" / name).write_bytes(body)
        (beside / MARK).write_text(f"{catalog.project}\n")
        shutil.rmtree(out, ignore_errors=True)
        beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return count


def features_script(site: Site) -> str:
    """What `catalogue.js` searches: a script, since a page opened as a file may not fetch."""
    directory = site.directory
    numbers = {name: i for i, name in enumerate(directory.catalog.views)}
    data: dict[str, Any] = {
        "features": [
            {
                "name": item.feature.name,
                "view": numbers[item.view.name],
                "type": item.feature.type,
                "description": item.feature.description,
                "tags": item.tags,
                "columns": item.sources,
                "page": item.path,
            }
            for item in directory.features
        ],
        "views": [_view(directory, name) for name in directory.catalog.views],
        "facets": [{"name": name, "label": label} for name, label, _ in FACETS],
        "others": [{"kind": k, "name": n, "page": p} for k, n, p in site.finder.others],
    }
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return f"window.forebayFeatures = {text};\n"


def _view(directory: Directory, name: str) -> dict[str, Any]:
    view = directory.catalog.views[name]
    return {
        "name": name,
        "entities": [column.name for column in view.entities],
        "entity": ", ".join(column.name for column in view.entities),
        "sources": [directory.leaf_name(leaf) for leaf in view.leaves],
        "owner": view.owner,
        "group": directory.access(name).group,
        "deprecated": view.deprecated,
    }


def _files(site: Site, live: Live) -> Iterator[tuple[str, str]]:
    """Name and text of every file but the assets."""
    yield "assets/features.js", features_script(site)
    yield "index.html", site.home("", {}, 0, live)
    for path in (*LISTS, *(path for path, _, _ in site.directory.paths())):
        text = site.page(path, live)
        if text is not None:
            yield f"{path}.html", text


def _check(out: Path) -> None:
    """Raises ForebayError where a folder is somebody's own."""
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise ForebayError(
            "the folder is not empty, and no earlier export",
            where=str(out),
            hint="name a new folder, such as --out site/",
        )
    if out.exists() and not out.is_dir():
        raise ForebayError("that is a file", where=str(out), hint="name a folder: --out site/")
