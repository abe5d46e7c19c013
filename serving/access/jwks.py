"""Public keys of token issuers, from a file or a URL (RFC 7517), read anew as they change."""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt import PyJWK

from feature_specs.errors import ForebayError

#: All are signatures with a private key. With a shared secret, whoever can check a token can make one.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
#: Seconds after which a URL is asked again; and at the earliest, where a token names another key.
REFRESH_S, SOONEST_S = 300.0, 10.0
#: Seconds for which keys count that cannot be fetched again.
STALE_S = 86_400.0

_TIMEOUT_S = 5.0
_LONGEST = 2**20
_HINT = "name a file or an https URL of a JSON Web Key Set with --jwks"


class Jwks:
    """The keys of a file or a URL, by key id.

    Attributes:
        problem: why they could not be read last; None where they could.

    Args:
        source: a path, or a URL: https, or http of this machine.
        now: a clock of seconds that only goes forward.

    Raises:
        ForebayError: the source is none.
    """

    def __init__(self, source: str, now: Callable[[], float] = time.monotonic) -> None:
        self._source, self._now = source, now
        self._is_url = "://" in source
        if self._is_url:
            _check_url(source)
        self.problem: str | None = "they were not read yet"
        self._keys: Mapping[str, PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")
        self._written: object = None
        self._wanted = False

    def key(self, key_id: str | None) -> PyJWK | None:
        """The key of that id; the only one where a token names none."""
        if self._now() - self._read_at > STALE_S and self._is_url:
            return None
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def want(self) -> bool:
        """A token names a key that is not there; whether the keys are about to be read again."""
        if self._is_url and self._now() - self._tried_at > SOONEST_S:
            self._wanted = True
        return self._wanted

    def look(self) -> bool:
        """Read the keys again where it is time; whether they are others now.

        Reads a file or a URL, so that an event loop leaves it to a thread.
        """
        now = self._now()
        since = now - self._tried_at
        if self._is_url and since < REFRESH_S and not (self._wanted and since > SOONEST_S):
            return False
        try:
            if not self._is_url:
                found = Path(self._source).stat()
                written = found.st_mtime_ns, found.st_ino
                if written == self._written and self.problem is None:
                    return False
                self._written = written
            self._tried_at = now
            keys = parse_jwks(self._fetch(), self._source)
        except (OSError, http.client.HTTPException, ForebayError) as error:
            said = str(error) or type(error).__name__
            self.problem = f"the keys of tokens are as they were: {said}"
            return False
        finally:
            self._wanted = False
        changed = _texts(keys) != _texts(self._keys)
        self._keys, self._read_at, self.problem = keys, now, None
        return changed

    def require(self) -> None:
        """Read the keys. Raises ForebayError where they cannot be."""
        self.look()
        if self.problem is not None:
            raise ForebayError(self.problem, where=self._source, hint=_HINT)

    def _fetch(self) -> bytes:
        if not self._is_url:
            return Path(self._source).read_bytes()
        proxies = [urllib.request.ProxyHandler({})] if _is_local(self._source) else []
        opener = urllib.request.build_opener(_NoRedirects, *proxies)
        with opener.open(self._source, timeout=_TIMEOUT_S) as answer:
            body: bytes = answer.read(_LONGEST + 1)
        if len(body) > _LONGEST:
            raise ForebayError("the key set is too long", where=self._source, hint=_HINT)
        return body


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key set is where it is said to be: another place need not be https."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def parse_jwks(text: bytes, where: str) -> dict[str, PyJWK]:
    """The signing keys of a key set, by their ids; one without an id counts as ``""``.

    Raises:
        ForebayError: it is not a key set, or holds no key of `ALGORITHMS`.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raw = None
    listed = raw.get("keys") if isinstance(raw, dict) else None
    if not isinstance(listed, list):
        raise ForebayError("not a JSON Web Key Set", where=where, hint=_HINT)
    found: dict[str, PyJWK] = {}
    for each in listed:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        try:
            key = PyJWK(each)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # of a kind that this version does not know
        if key.algorithm_name in ALGORITHMS:
            found.setdefault(str(each.get("kid", "")), key)
    if not found:
        raise ForebayError(
            f"the key set holds no public key for any of {', '.join(ALGORITHMS)}",
            where=where,
            hint=_HINT,
        )
    return found


def _texts(keys: Mapping[str, PyJWK]) -> dict[str, str]:
    return {i: json.dumps(key._jwk_data, sort_keys=True) for i, key in keys.items()}


def _check_url(source: str) -> None:
    scheme = urlsplit(source).scheme
    if scheme != "https" and not (scheme == "http" and _is_local(source)):
        raise ForebayError("keys that come unencrypted may be anybody's", where=source, hint=_HINT)


def _is_local(source: str) -> bool:
    host = urlsplit(source).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
