"""Lookups of one catalog from one online store."""

from __future__ import annotations

from collections.abc import Mapping

from feature_specs.catalog import Catalog
from serving.clock import Clock
from serving.lookup.limits import LIMITS, Limits, Work
from serving.lookup.names import Names
from serving.lookup.plan import Given, Plan, Planner
from serving.lookup.read import ViewRows, read
from serving.lookup.views import ReadyView, ready_views
from serving.stores import OnlineStore, open_store


class Lookup:
    """What requests of every form are answered from.

    Attributes:
        clock: gives the instant of read-time parts, ttl and ages, an aware datetime in UTC.
        views: that can be served; failed: those that cannot be, and why.
        work: what all requests in work ask for.

    Args:
        limits: of requests; those of ``before`` where there is one.
        before: what was answered from so far, of the same store, which is then shared.

    Raises:
        ForebayError: there is no online store yet, or no view of the catalog can be served.
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        *,
        limits: Limits = LIMITS,
        before: Lookup | None = None,
    ) -> None:
        self.catalog, self.clock = catalog, clock
        known: Mapping[str, ReadyView] = {} if before is None else before.views
        views, self.failed = ready_views(catalog, known)
        self.views: Mapping[str, ReadyView] = views
        if self.failed and not self.views:
            raise next(iter(self.failed.values()))
        self.work: Work = Work(limits) if before is None else before.work
        self.names = Names(catalog, self.work.limits)
        self.planner = Planner(self.views, self.failed)
        self.store: OnlineStore = (
            open_store(catalog.online, readonly=True) if before is None else before.store
        )

    async def read(self, plan: Plan, given: Given, budget_s: float | None = None) -> list[ViewRows]:
        """The rows of each of the plan's views as of now; see `serving.lookup.read.read`."""
        return await read(self.store, plan, given, self.clock(), budget_s)

    def close(self) -> None:
        """Release the store."""
        self.store.close()
