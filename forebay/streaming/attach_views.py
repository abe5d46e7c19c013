"""Which views are stepped over a stream's tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from feature_specs.catalog import Catalog, ViewEntry
from forebay.dbt_project.project import Project
from lakehouse.stream.feed import Feed


class _Views(Protocol):
    def kept(self) -> set[int]: ...


_V = TypeVar("_V", bound=_Views)


def attach_views(
    project: Project, feeds: Sequence[Feed], make: Callable[[Catalog, list[ViewEntry]], _V]
) -> _V | None:
    """What steps the views over the streamed tables; None if there is none.

    The feeds keep the snapshots from which these views resume.
    """
    catalog = project.catalog()
    over = views_over(catalog, [feed.entry.table for feed in feeds])
    if not over:
        return None
    views = make(catalog, over)
    for feed in feeds:
        feed.kept = views.kept
    return views


def views_over(catalog: Catalog, tables: Sequence[str]) -> list[ViewEntry]:
    """The views that read any of some Iceberg tables."""
    return [
        view
        for view in catalog.views.values()
        if any(catalog.leaves[leaf].table in tables for leaf in view.leaves)
    ]
