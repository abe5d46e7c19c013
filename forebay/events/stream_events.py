"""OpenLineage events of a stream process: one run that lasts until it is stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from feature_specs.catalog import Catalog, ViewEntry
from forebay.dbt_project.project import Project
from forebay.events.job_events import job_events
from forebay.events.view_columns import view_columns
from lakehouse.iceberg_dataset import iceberg_dataset
from lakehouse.lake import find_table, open_lake
from lakehouse.stream.feed import Feed
from lineage.events.encode_event import Dataset
from lineage.events.names import kafka_topic, source
from lineage.events.run import Run
from serving.sync.datasets import online_dataset


@dataclass(frozen=True)
class StreamEvents:
    """The run of a stream process."""

    run: Run
    project: Project
    feeds: Sequence[Feed]
    catalog: Catalog | None
    views: Sequence[ViewEntry]

    def go_on(self) -> None:
        """Say every half minute that it goes on, and of which snapshots it is by then."""
        if self.run.is_due():
            self.describe()
            self.run.running()

    def describe(self) -> None:
        """Note the topics, and the tables and stored views as they are now."""

        def describe(run: Run) -> None:
            servers = self.project.kafka["bootstrap.servers"]
            lake = open_lake(self.project.lake)
            for feed in self.feeds:
                namespace, name = kafka_topic(servers, feed.entry.topic)
                run.read(Dataset(namespace, name, {"dataSource": source(namespace)}))
            tables = {feed.entry.table for feed in self.feeds}
            for identifier in sorted(tables | {view.table for view in self.views}):
                table = find_table(lake, identifier)
                if table is not None:
                    run.wrote(iceberg_dataset(table, self.project.lake))
            for view in self.views:
                self._describe_view(view)

        self.run.note(describe)

    def _describe_view(self, view: ViewEntry) -> None:
        catalog = self.catalog
        assert catalog is not None
        lake = open_lake(self.project.lake)
        table = find_table(lake, view.table)
        if table is None:
            return
        made = iceberg_dataset(table, self.project.lake, owner=view.owner)
        columns = view_columns(self.project.root, catalog, view, lake)
        self.run.wrote(made.with_facets(columnLineage=columns))
        self.run.wrote(online_dataset(catalog.online, view, made))


@contextmanager
def stream_events(
    project: Project, feeds: Sequence[Feed], catalog: Catalog | None, views: Sequence[ViewEntry]
) -> Iterator[StreamEvents]:
    """Tell of a stream as it goes on."""
    with job_events(project, "stream", long=True) as run:
        made = StreamEvents(run, project, feeds, catalog, views)
        try:
            yield made
        finally:
            made.describe()
