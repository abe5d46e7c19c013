"""From the lakehouse to the online store: all of a view, or only what changed since the last time."""

from serving.sync.follow import follow
from serving.sync.report import SyncReport
from serving.sync.run import sync

__all__ = ["SyncReport", "follow", "sync"]
