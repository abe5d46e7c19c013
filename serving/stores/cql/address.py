"""The address of a CQL store: ``cql://host[,host]:port/keyspace?dc=...``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from feature_specs.errors import ForebayError, did_you_mean

#: Environment variables of the password, and of the user where the address names none. They are not
#: in the address, which is written to catalog.json and shown in errors.
USER, PASSWORD = "FOREBAY_CQL_USER", "FOREBAY_CQL_PASSWORD"
_EXAMPLE = "cql://10.0.0.1,10.0.0.2:9042/features?dc=eu_west"
READERS = ("acsylla", "scylla-driver")
_OPTIONS = ("dc", "user", "tls", "ca", "certificate", "key", "state_seconds", "reader", "cache_mb")


@dataclass(frozen=True)
class Address:
    """Where a CQL store is, and how it is spoken to.

    Attributes:
        hosts: some of the cluster's nodes; the driver finds the others.
        dc: the datacenter whose nodes are asked; None for that of the first node found.
        user, password: None where the cluster asks for none.
        tls: whether connections are encrypted; ca, certificate and key are paths of PEM files.
        state_seconds: how long a reader may use a view's state before it reads it again.
        cache_mb: megabytes of rows that a reader keeps while nothing is committed.
        reader: the driver that reads rows; None for acsylla once it is ready, else scylla-driver.
    """

    uri: str
    hosts: tuple[str, ...]
    port: int
    keyspace: str
    dc: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    state_seconds: float = 1.0
    reader: str | None = None
    cache_mb: int = 32


def parse_address(uri: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The address that a URI spells.

    Raises:
        ForebayError: it is none.
    """
    url = urlsplit(uri)
    keyspace = unquote(url.path).strip("/")
    if "@" in url.netloc:
        raise ForebayError(
            "a CQL store's address holds no password: it is written to catalog.json",
            where=f"{url.scheme}://...@{url.netloc.rpartition('@')[2]}{url.path}",
            hint=f"set {USER} and {PASSWORD} in the environment",
        )
    hosts, port = _split_hosts(uri, url.netloc)
    if not keyspace.replace("_", "").isalnum() or not keyspace.isascii():
        raise _wrong(
            uri, "names no keyspace" if not keyspace else "has a keyspace that CQL refuses"
        )
    options = _options(uri, url.query)
    user = options.get("user", environment.get(USER))
    password = environment.get(PASSWORD)
    if (user is None) != (password is None):
        raise ForebayError(
            f"a CQL store has a {'user' if password is None else 'password'} alone",
            where=uri,
            hint=f"set both {USER} and {PASSWORD} in the environment, or neither",
        )
    files = {name: options.get(name) for name in ("ca", "certificate", "key")}
    return Address(
        uri=uri,
        hosts=hosts,
        port=port,
        keyspace=keyspace,
        dc=options.get("dc"),
        user=user,
        password=password,
        tls=_flag(uri, options.get("tls", "true" if any(files.values()) else "false")),
        ca=files["ca"],
        certificate=files["certificate"],
        key=files["key"],
        state_seconds=_seconds(uri, options.get("state_seconds", "1")),
        reader=_reader(uri, options.get("reader")),
        cache_mb=_megabytes(uri, options.get("cache_mb", "32")),
    )


def _split_hosts(uri: str, netloc: str) -> tuple[tuple[str, ...], int]:
    names, colon, digits = netloc.rpartition(":")
    if not colon:
        names, digits = netloc, "9042"
    hosts = tuple(host for host in names.split(",") if host)
    if not hosts or ":" in names:
        raise _wrong(uri, "names no hosts" if not hosts else "has more than one port")
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 2**16:
        raise _wrong(uri, f"has the port {digits!r}")
    return hosts, int(digits)


def _options(uri: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise ForebayError(
                f"a CQL store has no option {name!r}",
                where=uri,
                hint=did_you_mean(name, _OPTIONS),
            )
    return options


def _flag(uri: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise _wrong(uri, f"has tls={text}, which must be true or false")
    return text == "true"


def _seconds(uri: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise _wrong(uri, f"has state_seconds={text}, which must be from 0 to 60")
    return seconds


def _megabytes(uri: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise _wrong(uri, f"has cache_mb={text}, which must be a whole number up to 99999")
    return int(text)


def _reader(uri: str, name: str | None) -> str | None:
    if name not in (None, *READERS):
        raise _wrong(uri, f"has reader={name}, which must be {' or '.join(READERS)}")
    return name


def _wrong(uri: str, what: str) -> ForebayError:
    return ForebayError(
        f"the address of the CQL store {what}", where=uri, hint=f"write {_EXAMPLE!r}"
    )
