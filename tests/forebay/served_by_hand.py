"""A log of served vectors that a test writes itself, as a server does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from feature_specs.catalog import Catalog
from feature_specs.instants import epoch_us
from lakehouse.lake import open_lake
from serving.served.commit_spool import commit_spool


def answered(
    catalog: Catalog, view: str, values: Mapping[str, Any], loaded: datetime, **more: Any
) -> dict[str, Any]:
    """What one view answered of customer a.

    Args:
        values: by the names asked for, as JSON has them.
        more: parts of the line that are otherwise.
    """
    return {
        "view": view, "meaning": catalog.readable[view].definition_hash,
        "loaded": epoch_us(loaded), "key": ["a"], "hash": None, "status": "PRESENT",
        "features": list(values), "values": [json.dumps(value) for value in values.values()],
        "request": None, **more,
    }  # fmt: skip


def log_served(
    catalog: Catalog, service: str | None, at: datetime, *vectors: list[dict[str, Any]]
) -> None:
    """Commit vectors, each of some views, that a service's callers were answered at an instant."""
    lines = [json.dumps({"at": epoch_us(at), "service": service, "views": v}) for v in vectors]
    with TemporaryDirectory() as folder:
        name = f"{epoch_us(at):019d}-{uuid4().hex}.jsonl"
        (Path(folder) / name).write_text("\n".join([*lines, ""]))
        assert commit_spool(open_lake(catalog.lake), Path(folder)).vectors == len(vectors)
