"""The rows that a view's last build left, wherever a crash left them."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.table import Table

from feature_specs.quote import quoted
from lakehouse.feature_tables.choose_step import stands_at
from lakehouse.lake import FeatureState
from lakehouse.scan import pin


def rows_before(
    latest: Table | None, history: Table, before: FeatureState, keys: Sequence[str]
) -> str:
    """SQL of the rows at ``before``: of the table, or of the log where a crash left that ahead."""
    if stands_at(latest, before):
        assert latest is not None
        return pin(latest).sql
    listed = ", ".join(map(quoted, keys))
    return (
        "select * exclude (computed_at, committed_at, deleted) from (select * from "
        f"({pin(history).sql}) as log qualify row_number() over (partition by {listed} "
        "order by committed_at desc) = 1) where not deleted"
    )
