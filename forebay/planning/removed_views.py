"""Tables and online rows of views that are no longer in the project."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from feature_specs.catalog import Catalog
from feature_specs.view_entry import table_of_log
from forebay.dbt_project.project import Project
from forebay.planning.built_logs import built_logs
from lakehouse.drop_table import drop_table
from lakehouse.lake import find_table, open_lake
from serving.stores import OnlineStore, StoredView, open_store, reading_store, view_of


@dataclass(frozen=True)
class RemovedView:
    """A view that this project built and no longer contains.

    Attributes:
        tables: its own, of the lake.
        online: the names under which its rows are in the online store.
    """

    name: str
    tables: tuple[str, ...]
    online: tuple[str, ...]

    @property
    def said(self) -> str:
        """All of it, for people."""
        return ", ".join((*self.tables, *self.online))


def find_removed(project: Project, catalog: Catalog) -> list[RemovedView]:
    """The views whose tables say that this project built them, and that it has no more.

    A view that could not be compiled counts as there. Another project's, on the same lake or store,
    are none of these: rows online go by the names of this project's own removed tables.
    """
    lake = open_lake(project.lake)
    there = {view.name for view in catalog.views.values()}
    there |= {out.name for out in catalog.views_left_out()}
    used = {t for v in catalog.views.values() for t in (v.table, v.history_table)}
    found: dict[str, list[str]] = {}
    for log in built_logs(lake, catalog.project):
        view = str(log.definition["view"])
        for table in log.tables if view not in there else ():
            if table not in used:
                found.setdefault(view, []).append(table)
    online = _online(project)
    return [
        RemovedView(
            name,
            tuple(tables),
            tuple(n for n in online if view_of(n) == name),
        )
        for name, tables in sorted(found.items())
    ]


def _online(project: Project) -> list[str]:
    with reading_store(project.online) as store:
        return [] if store is None else [stored.name for stored in store.states()]


def remove_views(project: Project, removed: list[RemovedView]) -> None:
    """Drop their online rows, then their tables; the next run finishes one that was killed."""
    lake = open_lake(project.lake)
    if any(view.online for view in removed):
        with closing(open_store(project.online)) as store:
            for view in removed:
                _drop_online(store, view)
    for view in removed:
        # The log says whose they are, so it goes last.
        for name in sorted(dict.fromkeys(view.tables), key=lambda n: table_of_log(n) is not None):
            if find_table(lake, name) is not None:
                drop_table(lake, name)


def _drop_online(store: OnlineStore, view: RemovedView) -> None:
    for stored in list(store.states()):
        if stored.name in view.online:
            store.drop(StoredView(stored.name, stored.entities))
