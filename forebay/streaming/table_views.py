"""Feature views stepped in their tables by another engine, then brought online."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.library_errors import explain_one, known_errors
from forebay.builds.advance import advance_project
from forebay.dbt_project.project import Project
from forebay.streaming.built_views import built_views, kept_snapshots
from forebay.streaming.complaints import Complaints
from lakehouse.feature_tables.compute_rows import ComputeRows
from serving.sync import sync


@dataclass
class TableViews:
    """Steps views over what a stream has committed, every so many seconds.

    Nothing of a leaf is held in memory here: the engine computes each step, and this process
    commits what changed and writes it online.

    Args:
        views: that read the streamed tables.
        every: seconds between steps.
        complaints: told of each view that fails; it stays as it is, and the others go on.
    """

    project: Project
    catalog: Catalog
    views: Sequence[ViewEntry]
    clock: Callable[[], datetime]
    every: float
    compute: ComputeRows
    complaints: Complaints
    step_s: float = 0.0
    at: datetime | None = None
    _stepped_at: float = field(default_factory=time.monotonic)

    def follow(self) -> None:
        """Step the views if it is time to."""
        if time.monotonic() - self._stepped_at >= self.every:
            self.step()

    def step(self) -> None:
        """Bring the tables to the present, and the store to the tables."""
        begun = self._stepped_at = time.monotonic()
        now = self.clock()
        at = now if self.at is None else max(now, self.at)
        try:
            built = built_views(self.catalog, self.views)
            if not built:
                return  # of no names all views would be stepped
            # Whoever stepped them last, the clock of this process may be behind theirs.
            at = max(at, max(built.values()) + timedelta(microseconds=1))
            for step in advance_project(self.project, list(built), at, 1, compute=self.compute):
                if step.error is not None:
                    self.complaints.tell(step.view, step.error)
            for report in sync(self.catalog, list(built)):
                if report.error:
                    self.complaints.tell(report.view, report.error)
        except known_errors() as error:
            # The next step reads what was committed until then.
            self.complaints.tell("features", explain_one(error))
            return
        self.at, self.step_s = at, time.monotonic() - begun

    def kept(self) -> set[int]:
        """The snapshots of streamed tables from which feature tables resume."""
        return kept_snapshots(self.catalog, self.views)
