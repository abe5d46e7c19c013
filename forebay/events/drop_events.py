"""OpenLineage events of what takes rows away for good: dropped tables, erased entities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog as Lake

from forebay.dbt_project.project import Project
from forebay.events.job_events import job_events
from lakehouse.iceberg_dataset import iceberg_dataset
from lakehouse.lake import find_table, load_table
from lineage.events.run import NO_RUN, Run

if TYPE_CHECKING:
    from forebay.erasure.erase import Erasure


@contextmanager
def drop_events(project: Project, lake: Lake, table: str) -> Iterator[None]:
    """Tell of a table that is dropped, as it was before."""
    with job_events(project, "drop", table) as run:
        if run is not NO_RUN:
            with run.describing():
                found = load_table(lake, table)
                run.wrote(iceberg_dataset(found, project.lake, change="DROP"))
        yield


@contextmanager
def erase_events(project: Project, *, told: bool) -> Iterator[Run]:
    """Tell of an erasure; whose rows it takes is in no event."""
    with job_events(project, "erase", told=told) as run:
        yield run


def tell_erased(run: Run, project: Project, lake: Lake, made: Erasure) -> None:
    """Note the tables that held the entity, which were written anew without it."""
    if run is NO_RUN:
        return
    with run.describing():
        for name in _tables(made):
            found = find_table(lake, name)
            if found is not None:
                dataset = iceberg_dataset(found, project.lake, change="OVERWRITE")
                run.read(dataset)
                run.wrote(dataset)


def _tables(made: Erasure) -> Iterable[str]:
    held = (p for p in made.places if p.kind in ("table", "training set"))
    return dict.fromkeys(p.name for p in held if p.rows or p.in_files)
