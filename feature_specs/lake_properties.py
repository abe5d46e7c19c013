"""What a project's lake is called and how it is opened, and which of that may be written down."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError

#: All that is written into catalog.json; whatever else opens a lake may be a credential.
_PUBLIC = ("name", "type", "uri", "warehouse")
_SQLITE = "sqlite:///"
#: User and password of a database, of which SQLAlchemy takes a ``/``, ``?`` or ``#`` as it stands.
_USER = re.compile(r"^[^:/?#@]*(?::[^@]*)?@")
#: Where a URL is one as RFC 3986 has it: user, host and port.
_HTTP = re.compile(r"(?:[^@/?#]*@)?(?:\[[^]]*\]|[^:@/?#]*)(?::\d*)?(?=[/?#]|$)")
#: The setting that names the team of whoever works with this profile.
TEAM = "team"
#: Sections of the plugin's config that say nothing of the lake.
_OTHER = ("online", "kafka", "serve", "spark", TEAM)


def lake_properties(config: Mapping[str, Any], root: Path) -> dict[str, str]:
    """The properties of a lake's catalog, from the forebay plugin's config.

    Paths become absolute, and pyiceberg wants texts: other values are written as YAML would.

    Args:
        root: the project's folder, where relative paths start.
    """
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in config.items()
        if name not in _OTHER and value is not None
    }
    uri, warehouse = texts.get("uri", ""), texts.get("warehouse", "")
    texts.setdefault("type", catalog_type(texts))
    path = uri.removeprefix(_SQLITE)
    if uri.startswith(_SQLITE) and not path.startswith("/"):
        texts["uri"] = f"{_SQLITE}{root / path}"
    # The warehouse of a REST catalog is a name that its server knows.
    if texts["type"] != "rest" and warehouse and "://" not in warehouse:
        texts["warehouse"] = (root / warehouse).absolute().as_uri()
    return texts


def catalog_type(config: Mapping[str, Any]) -> str:
    """The kind of catalog: as named, else what the URI is of, else ``sql``."""
    if config.get("type"):
        return str(config["type"])
    scheme = str(config.get("uri", "")).partition("://")[0]
    return {"http": "rest", "https": "rest", "thrift": "hive"}.get(scheme, "sql")


def public_lake(lake: Mapping[str, str]) -> dict[str, str]:
    """What of a lake's properties may be written down: no user, password, key or token."""
    public = {name: lake[name] for name in _PUBLIC if name in lake}
    if "uri" in public:
        public["uri"] = public_uri(public["uri"])
    return public


def public_uri(uri: str) -> str:
    """A URI without user, password and options, which may hold either."""
    if uri.startswith(_SQLITE):
        return uri
    scheme, found, rest = uri.partition("://")
    if not found:
        scheme, rest = "", uri
    if not (scheme.startswith("http") and _HTTP.match(rest)):
        rest = _USER.sub("", rest)
    place = re.split("[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}"


def is_complete(lake: Mapping[str, str]) -> bool:
    """Whether what was written down of a lake opens it: a SQLite file and a folder do."""
    scheme = lake.get("warehouse", "").partition("://")[0]
    return lake.get("uri", "").startswith(_SQLITE) and scheme in ("", "file")


class ProfileLake(Mapping[str, str]):
    """The properties of a lake that was written down, read from the profile once one is asked for.

    So what never opens the lake, as serving, needs none of its credentials.

    Args:
        lake: as `public_lake` left it.
        own: gives those of the profile's target.
    """

    def __init__(self, lake: Mapping[str, str], own: Callable[[], Mapping[str, str]]) -> None:
        self._lake, self._own = lake, own

    @cached_property
    def _full(self) -> Mapping[str, str]:
        return with_credentials(self._lake, self._own())

    def __getitem__(self, name: str) -> str:
        return self._full[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._full)

    def __len__(self) -> int:
        return len(self._full)


def with_credentials(lake: Mapping[str, str], own: Mapping[str, str]) -> Mapping[str, str]:
    """The properties of a lake that was written down, as the profile has them.

    Args:
        lake: as `public_lake` left it.
        own: of the profile's target.

    Raises:
        ForebayError: the profile names another lake, so nothing tells how to open that one.
    """
    if is_complete(lake):
        return lake
    if public_lake(own) == lake:
        return own
    raise ForebayError(
        f"it was compiled for the lake at {lake.get('uri')}, {lake.get('warehouse')}, and this "
        f"target's is at {public_uri(own.get('uri', ''))}, {own.get('warehouse')}",
        where="target/forebay/catalog.json",
        hint="run `forebay compile`, or name the other target with --target",
    )
