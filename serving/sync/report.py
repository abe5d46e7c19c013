"""What syncing a view did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["unchanged", "changed", "replaced", "failed"]


@dataclass(frozen=True)
class SyncReport:
    """What `sync` did for a view, or with ``dry_run`` what it would have done.

    Attributes:
        action: ``unchanged``: the store had these rows already; ``changed``: the rows changed since
            were applied; ``replaced``: all rows were written anew; ``failed``: the store holds what
            it held before.
        written, deleted: rows.
        null_keys: rows left out because a null in its key makes a row no entity.
        rows: how many the store holds then.
        at: the instant of the rows, microseconds since the epoch; None where it failed.
        error: why it failed, with a hint.
    """

    view: str
    action: Action
    written: int = 0
    deleted: int = 0
    null_keys: int = 0
    rows: int = 0
    at: int | None = None
    error: str | None = None
