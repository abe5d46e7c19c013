"""OpenLineage events of table maintenance, a run for each table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.catalog import Catalog as Lake

from forebay.dbt_project.project import Project
from lakehouse.iceberg_dataset import iceberg_dataset
from lakehouse.lake import load_table
from lineage.events.run import Job, Run


@contextmanager
def maintain_events(run: Run, project: Project, lake: Lake, table: str) -> Iterator[None]:
    """Tell of one table, beneath the command's run. Its rows stay: it is read and written."""
    job = Job(f"{project.settings.get('name')}.maintain.{table}", "MAINTAIN")
    with run.child(job).going_on() as part:
        yield
        part.note(lambda part: _describe(part, project, lake, table))


def _describe(run: Run, project: Project, lake: Lake, table: str) -> None:
    made = iceberg_dataset(load_table(lake, table), project.lake)
    run.read(made)
    run.wrote(made)
