"""dbt's access modifiers and groups, as they apply to who reads a feature view online."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PRIVATE: Final = "private"
PROTECTED: Final = "protected"
PUBLIC: Final = "public"


@dataclass(frozen=True)
class ViewAccess:
    """Who may read a view.

    Attributes:
        access: ``private``, ``protected`` (dbt's default) or ``public``.
        group: the dbt group that the view belongs to; empty where it belongs to none.
        owner: who is asked for access: of the group, else of the view; may be empty.
    """

    access: str = PROTECTED
    group: str = ""
    owner: str = ""
