"""Local paths for the URIs that Iceberg writes."""

from __future__ import annotations

import re
from urllib.parse import urlparse

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def local_path(uri: str) -> str:
    """The path of a ``file://`` URI, taken as it stands, as pyiceberg does; other URIs unchanged."""
    return urlparse(uri).path if uri.startswith("file:") else uri


def is_local(uri: str) -> bool:
    """Whether a file or folder is on this machine's disk: a path, or a ``file://`` URI."""
    return uri.startswith("file:") or _SCHEME.match(uri) is None
