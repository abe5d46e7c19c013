"""Serving over HTTP with uvicorn."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from socket import socket

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from feature_specs.catalog import Catalog, load_catalog
from serving.api import create_app
from serving.listen import listen

_CATALOG_VARIABLE = "FOREBAY_SERVED_CATALOG"


def serve(catalog: Catalog, host: str, port: int, workers: int = 1) -> None:
    """Answer lookups until stopped by SIGINT or SIGTERM.

    Args:
        workers: processes; each opens the online store itself and counts its own metrics.

    Raises:
        ForebayError: there is no online store yet, no view can be served, or the port is taken.
    """
    # Workers that fail are started again for ever: what is wrong is better said here.
    app = create_app(catalog)
    with (
        listen(host, port) as taken,
        tempfile.TemporaryDirectory(prefix="forebay-") as folder,
        suppress(KeyboardInterrupt),
    ):
        if workers == 1:
            config = _config(app, taken, host)
            uvicorn.Server(config).run(sockets=[taken])
            return
        # Workers are started anew and share nothing with this process but its environment.
        path = Path(folder) / "catalog.json"
        path.write_text(catalog.dumps())
        os.environ[_CATALOG_VARIABLE] = str(path)
        config = _config(f"{__name__}:app_of_worker", taken, host, factory=True, workers=workers)
        Multiprocess(config, sockets=[taken]).run()


def _config(
    app: Starlette | str, taken: socket, host: str, *, factory: bool = False, workers: int = 1
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=taken.getsockname()[1],
        factory=factory,
        workers=workers,
        access_log=False,
        use_colors=False if os.environ.get("NO_COLOR") else None,
    )


def app_of_worker() -> Starlette:
    """The application in a worker process."""
    return create_app(load_catalog(Path(os.environ[_CATALOG_VARIABLE])))
