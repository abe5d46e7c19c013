"""Drop the online rows of views' earlier definitions, once nobody may switch back to them."""

from __future__ import annotations

from contextlib import closing

from forebay.dbt_project.project import Project
from serving.stores import open_store, reading_store
from serving.sync.meanings import overdue


def drop_earlier(project: Project, *, dry_run: bool) -> list[str]:
    """Drop online rows whose day is over, whichever project's view they are of.

    Returns:
        Their names in the store; of a dry run those that would go, and none where there is no store.
    """
    with reading_store(project.online) as store:
        found = [] if store is None else overdue(store)
    if found and not dry_run:
        with closing(open_store(project.online)) as store:
            found = overdue(store)  # they may have been switched back to meanwhile
            for stored in found:
                store.drop(stored)
    return [stored.name for stored in found]
