"""Emit OpenLineage events for a command's job, as a context manager."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from forebay.dbt_project.project import Project
from lineage.events.encode_event import Facet
from lineage.events.outbox import Lost
from lineage.events.run import NO_RUN, Job, LongRun, Run, job_run


@contextmanager
def job_events(
    project: Project,
    kind: str,
    *name: str,
    told: bool = True,
    long: bool = False,
    nominal: datetime | None = None,
    **facets: Facet,
) -> Iterator[Run]:
    """Emit events for a command's job, named ``PROJECT.KIND.NAME``.

    Args:
        name: what it is about, such as a table.
        told: False of a dry run, which is no run of the job.
        long: whether it goes on until it is stopped.
        nominal: the instant that it is about.
        facets: of the job.
    """
    if not told:
        yield NO_RUN
        return
    title = ".".join((str(project.settings.get("name")), kind, *name))
    job = Job(title, kind.upper(), processing="STREAMING" if long else "BATCH", facets=facets)
    with job_run(job, project.root, _complain, nominal, LongRun if long else Run) as run:
        yield run


@contextmanager
def build_events(project: Project, nominal: datetime) -> Iterator[Run]:
    """Tell of a build, which dbt runs, under the name that openlineage-dbt has for it; its nodes
    are runs beneath it (`node_events`)."""
    job = Job(f"dbt-run-{project.settings.get('name')}", "JOB", "DBT")
    with job_run(job, project.root, _complain, nominal) as run:
        yield run


def _complain(lost: Lost) -> None:
    click.echo(lost.line(), err=True)
