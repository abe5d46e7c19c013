"""Serving over HTTP with uvicorn."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from feature_specs.catalog import Catalog, load_catalog
from serving.api import create_app
from serving.api.views import ready_views
from serving.stores import open_store

_CATALOG_VARIABLE = "FOREBAY_SERVED_CATALOG"


def serve(catalog: Catalog, host: str, port: int, workers: int = 1) -> None:
    """Answer lookups until stopped by SIGINT or SIGTERM.

    Args:
        workers: processes; each opens the online store itself and counts its own metrics.

    Raises:
        ForebayError: there is no online store yet, or a view of the catalog cannot be served.
    """
    if workers == 1:
        uvicorn.run(create_app(catalog), host=host, port=port, access_log=False)
        return
    # Workers that fail are started again for ever: what is wrong is better said here.
    ready_views(catalog)
    open_store(catalog.online, readonly=True).close()
    # Workers are started anew and share nothing with this process but its environment.
    with tempfile.TemporaryDirectory(prefix="forebay-") as folder:
        path = Path(folder) / "catalog.json"
        path.write_text(catalog.dumps())
        os.environ[_CATALOG_VARIABLE] = str(path)
        uvicorn.run(
            f"{__name__}:app_of_worker",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
        )


def app_of_worker() -> Starlette:
    """The application in a worker process."""
    return create_app(load_catalog(Path(os.environ[_CATALOG_VARIABLE])))
