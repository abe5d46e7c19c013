"""A lake in a folder."""

from __future__ import annotations

from pathlib import Path

from pyiceberg.catalog import Catalog

from lakehouse.lake import open_lake


def local_lake(folder: Path) -> Catalog:
    """The lake whose catalog and tables are in a folder; it is made there."""
    warehouse = folder / "lake" / "warehouse"
    return open_lake(
        {"name": "lake", "uri": f"sqlite:///{folder}/lake/catalog.db", "warehouse": str(warehouse)}
    )
