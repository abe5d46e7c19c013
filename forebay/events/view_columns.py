"""Compiled column lineage as OpenLineage's facet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import ForebayError
from lakehouse.lake import find_table
from lineage.effects import Effects, together
from lineage.events.column_facet import Name, column_facet
from lineage.events.encode_event import Facet
from lineage.events.names import place
from lineage.project_lineage import FILE, ProjectLineage, load_project_lineage
from lineage.view_lineage import ViewLineage


def view_columns(root: Path, catalog: Catalog, view: ViewEntry, lake: Lake) -> Facet | None:
    """The facet of a feature view's table; None where compile wrote no lineage of it."""
    known = _lineage(root)
    node = None if known is None else known.views.get(view.name)
    if node is None:
        return None
    found = node.lineage
    tables = {catalog.leaves[name].table for name in view.leaves}
    return column_facet({**found.keys, **found.features}, found.rows, _names(lake, tables))


def set_columns(
    root: Path, catalog: Catalog, features: list[Mapping[str, Any]], lake: Lake
) -> Facet | None:
    """The facet of a training set; None where compile wrote no lineage.

    Args:
        features: as its record lists them, each with its column ``name``, ``view`` and ``feature``.
    """
    known = _lineage(root)
    if known is None:
        return None
    columns: dict[str, Effects] = {}
    decoded: dict[str, ViewLineage] = {}
    for each in features:
        view = catalog.view_behind(each["view"])
        if view in known.views:
            lineage = decoded.get(view) or known.views[view].lineage
            decoded[view] = lineage
            # The rows are the spine's: what decides a view's rows decides this column's values.
            columns[each["name"]] = together(
                [lineage.features.get(each["feature"], {}), lineage.rows]
            )
    tables = {table for effects in columns.values() for table, _ in effects}
    return column_facet(columns, {}, _names(lake, tables))


def _lineage(root: Path) -> ProjectLineage | None:
    path = root / "target" / "forebay" / FILE
    try:
        found = path.stat()
        return _loaded(path, found.st_mtime_ns, found.st_size, found.st_ino)
    except (FileNotFoundError, ForebayError):
        return None


@lru_cache(maxsize=1)
def _loaded(path: Path, *written: int) -> ProjectLineage:
    """lineage.json as it was written then: a build asks for it with each view."""
    return load_project_lineage(path)


def _names(lake: Lake, tables: set[str]) -> dict[str, Name]:
    found = {name: find_table(lake, name) for name in sorted(tables)}
    return {name: place(table.location()) for name, table in found.items() if table is not None}
