"""A lake table's rows, as pyiceberg reads them."""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.table import Table


def read_arrow(table: Table) -> pa.Table:
    """All current rows."""
    return table.scan().to_arrow()
