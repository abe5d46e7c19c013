"""Serving over HTTP with uvicorn."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from socket import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from feature_specs.catalog import Catalog, load_catalog
from feature_specs.errors import ForebayError
from serving.api import App, create_app
from serving.api.hosts import OwnHosts
from serving.api.metrics import FOLDER_VARIABLE
from serving.clock import catalog_clock
from serving.http_protocol import CLIENT_LIMITS, ClientLimits, ServerConfig
from serving.listen import for_workers, listen
from serving.memory import keep_freed_memory, keep_start_up_objects
from serving.settings import OPEN, ServeSettings
from serving.tls import Tls

_CATALOG_VARIABLE, _PATH_VARIABLE = "FOREBAY_SERVED_CATALOG", "FOREBAY_PROJECT_CATALOG"
_CLOCK_VARIABLE, _SETTINGS_VARIABLE = "FOREBAY_SERVED_NOW", "FOREBAY_SERVE_SETTINGS"
_WORKERS_VARIABLE, _HOST_VARIABLE = "FOREBAY_SERVE_WORKERS", "FOREBAY_SERVE_OWN_HOST"


def serve(
    catalog: Catalog,
    host: str,
    port: int,
    workers: int = 1,
    source: Path | None = None,
    *,
    fixed_clock: bool = False,
    clients: ClientLimits = CLIENT_LIMITS,
    settings: ServeSettings = OPEN,
) -> None:
    """Answer lookups until stopped by SIGINT or SIGTERM.

    Args:
        workers: processes; each opens the online store itself. Their metrics add up.
        source: the project's catalog.json, which is taken over where it changes.
        clients: how long clients may take.
        settings: who may ask, and how much.
        fixed_clock: a catalog that is taken over is read at this one's ``now``.

    Raises:
        ForebayError: there is no online store yet, no view can be served, the port is taken, or
            everybody would be answered where others reach it.
    """
    tls, clients = settings.tls(), settings.client_limits(clients)
    keep_freed_memory()
    # Workers that fail are started again for ever: what is wrong is better said here.
    clock = catalog_clock(catalog) if fixed_clock else None
    app = create_app(
        catalog,
        path=source,
        clock=clock,
        gate=settings.gate(),
        audit=settings.audit_log(),
        served=settings.served_log(),
        limits=settings.request_limits(),
    )
    with (
        _listen(host, port, settings) as taken,
        tempfile.TemporaryDirectory(prefix="forebay-") as folder,
        suppress(KeyboardInterrupt),
    ):
        own_host = host if settings.answers_this_machine(taken.getsockname()[0]) else None
        if workers == 1:
            keep_start_up_objects()
            config = _config(_for_host(app, own_host), taken, host, clients, tls)
            uvicorn.Server(config).run(sockets=[taken])
            return
        _tell_workers(catalog, source, fixed_clock, settings, workers, folder)
        os.environ[_HOST_VARIABLE] = own_host or ""
        config = _config(
            f"{__name__}:app_of_worker", taken, host, clients, tls, factory=True, workers=workers
        )
        with for_workers(taken) as shared:
            Multiprocess(config, sockets=[shared]).run()


def _tell_workers(
    catalog: Catalog,
    source: Path | None,
    fixed_clock: bool,
    settings: ServeSettings,
    workers: int,
    folder: str,
) -> None:
    """Leave for workers what they need: they are started anew, and share the environment alone."""
    path = Path(folder) / "catalog.json"
    path.write_text(catalog.dumps())
    os.environ.update(
        {
            _CATALOG_VARIABLE: str(path),
            _PATH_VARIABLE: "" if source is None else str(source),
            _CLOCK_VARIABLE: "fixed" if fixed_clock else "",
            _SETTINGS_VARIABLE: settings.dumps(),
            _WORKERS_VARIABLE: str(workers),
            # prometheus_client reads it when it is imported: it counts in memory in this process.
            FOLDER_VARIABLE: folder,
        }
    )


def _listen(host: str, port: int, settings: ServeSettings) -> socket:
    """The socket to answer on, its address said on standard error as a URL."""
    taken = listen(host, port)
    address, bound, *_ = taken.getsockname()
    tls = settings.tls()
    try:
        settings.check_address(address)
        if tls is not None:
            tls.context()
    except ForebayError:
        taken.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    scheme = "http" if tls is None else "https"
    print(f"serving on {scheme}://{shown}:{bound}", file=sys.stderr, flush=True)
    return taken


def _config(
    app: ASGIApp | str,
    taken: socket,
    host: str,
    clients: ClientLimits,
    tls: Tls | None,
    *,
    factory: bool = False,
    workers: int = 1,
) -> ServerConfig:
    return ServerConfig(
        app,
        clients=clients,
        tls=tls,
        host=host,
        port=taken.getsockname()[1],
        factory=factory,
        workers=workers,
        access_log=False,
        # Nothing asks for a client's address; uvicorn would read forwarding headers in every request.
        proxy_headers=False,
        server_header=False,
        use_colors=False if os.environ.get("NO_COLOR") else None,
    )


def _for_host(app: App, own_host: str | None) -> ASGIApp:
    """The application, which others' names lead to only where keys are asked for."""
    return app if own_host is None else OwnHosts(app, own_host)


def app_of_worker() -> ASGIApp:
    """The application in a worker process."""
    keep_freed_memory()
    source = os.environ[_PATH_VARIABLE]
    kept = Path(os.environ[_CATALOG_VARIABLE])
    served = load_catalog(kept)
    settings = ServeSettings.loads(os.environ[_SETTINGS_VARIABLE])
    app = create_app(
        served,
        path=Path(source) if source else None,
        clock=catalog_clock(served) if os.environ[_CLOCK_VARIABLE] else None,
        on_switch=lambda catalog: _keep(catalog, kept),
        gate=settings.gate(workers=int(os.environ[_WORKERS_VARIABLE]), restarted=True),
        audit=settings.audit_log(),
        served=settings.served_log(),
        limits=settings.request_limits(),
    )
    keep_start_up_objects()
    return _for_host(app, os.environ[_HOST_VARIABLE] or None)


def _keep(catalog: Catalog, path: Path) -> None:
    """Leave what is served for a worker that is started anew, whose views may be waiting still."""
    own = path.with_suffix(f".{os.getpid()}")
    own.write_text(catalog.dumps())
    own.replace(path)
