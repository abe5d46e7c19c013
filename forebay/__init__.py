"""A SQL-native feature platform on a lakehouse: compile one SQL query into variants that agree."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import feature_specs

if TYPE_CHECKING:
    from feature_specs import (
        Changelog,
        CompiledView,
        FeatureView,
        Leaf,
        compile_service,
        compile_view,
    )
    from forebay.client.async_client import AsyncClient
    from forebay.client.client import Client
    from forebay.client.local import LocalClient
    from forebay.open_project import OpenProject
    from forebay.open_project import open as open

# `open` is left out: `from forebay import *` must not take Python's own away.
__all__ = [
    "AsyncClient",
    "Changelog",
    "Client",
    "CompiledView",
    "FeatureView",
    "Leaf",
    "LocalClient",
    "OpenProject",
    "compile_service",
    "compile_view",
]

# Looked up on first use, as feature_specs' own names are: `forebay --help` must load neither SQLGlot
# nor a client.
_CLIENTS = {
    "AsyncClient": "forebay.client.async_client",
    "Client": "forebay.client.client",
    "LocalClient": "forebay.client.local",
    "OpenProject": "forebay.open_project",
    "open": "forebay.open_project",
}


def __getattr__(name: str) -> Any:
    if name in _CLIENTS:
        return getattr(import_module(_CLIENTS[name]), name)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(feature_specs, name)
