"""Guard against two rows for one entity at one instant."""

from __future__ import annotations


def one_row_guard(view: str, keys: str = "") -> str:
    """SQL that is true, or raises if a group has a second row.

    Args:
        keys: SQL of the columns whose rows are counted, as a window does; a group's by default.
    """
    over = f" over (partition by {keys})" if keys else ""
    return (
        f"case when count(*){over} > 1 then cast(error("
        f"'{view}: two rows for one entity at one instant; group by the entities, or declare event_time'"
        ") as boolean) else true end"
    )
