"""The gate before a server: who asks, by the key or token of a request's Authorization header."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from starlette.types import Scope

from feature_specs.access import PROTECTED, PUBLIC
from feature_specs.errors import ForebayError
from serving.access.api_key import NOBODY, StoredKey, split_key
from serving.access.errors import UnauthenticatedError
from serving.access.keys_file import KeysFile, TeamEntry, load_keys
from serving.access.rate import UNLIMITED, Rates, Usage
from serving.access.rights import Rights
from serving.access.team import Caller, Team

#: The scope's entry for the `Caller`.
CALLER = "forebay.caller"

_HINT = "send the header `Authorization: Bearer KEY`; `forebay keys create TEAM` makes a key"
#: The longest header that is looked at, in bytes.
_LONGEST = 8_192
#: Tokens whose signatures are not checked again.
_TOKENS_KEPT = 10_000
_TEAMS_KEPT = 10_000
_NOBODY = NOBODY, Caller(Team("", Rights(frozenset(), False)), "", Usage(UNLIMITED))


class TokenReader(Protocol):
    """What checks tokens; `serving.access.tokens.Tokens` is it, whose library is an extra."""

    @property
    def jwks(self) -> TokenKeys: ...

    def read(self, text: str) -> ReadToken:
        """What a token says. Raises UnauthenticatedError where it is not good."""
        ...


class TokenKeys(Protocol):
    """The keys of tokens; see `serving.access.jwks.Jwks`."""

    problem: str | None

    def look(self) -> bool: ...


class ReadToken(Protocol):
    """See `serving.access.tokens.Token`."""

    @property
    def team(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def expires(self) -> float: ...


@dataclass(frozen=True)
class _Known:
    """Who is known at one moment. It is replaced whole, so that nothing that was found out by keys
    and rights of before is kept among those of after.

    Attributes:
        keys: by their ids.
        tokens: callers by digests of tokens that were found good, and until when each is.
    """

    teams: Mapping[str, TeamEntry]
    keys: Mapping[str, tuple[StoredKey, Caller]]
    tokens: dict[bytes, tuple[Caller, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, held: KeysFile, usage_of: Callable[[str, TeamEntry], Usage]) -> _Known:
        callers = {}
        for name in {key.team for key in held.keys.values()}:
            entry = held.teams.get(name, TeamEntry())
            callers[name] = Team(name, rights_of(name, entry)), usage_of(name, entry)
        keys = {}
        for i, key in held.keys.items():
            team, usage = callers[key.team]
            keys[i] = key, Caller(team, i, usage)
        return cls(held.teams, keys)


class Gate:
    """Lets in who sends a key that is known, or a token of an issuer that is trusted.

    Attributes:
        problem: why the keys are not those that they should be by now; None where they are.

    Args:
        path: the file of API keys and teams; None where there are tokens only.
        tokens: checks tokens; None where there are keys only.
        rates: what teams may ask for of which the file says nothing.
        workers: of which each allows a share of what a team may ask for.
        now: the clock by which keys and tokens expire.

    Raises:
        ForebayError: the file cannot be read.
    """

    def __init__(
        self,
        path: Path | None,
        tokens: TokenReader | None = None,
        rates: Rates = UNLIMITED,
        workers: int = 1,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path, self._tokens, self._now = path, tokens, now
        self._rates, self._workers = rates, workers
        self._usages: dict[str, Usage] = {}
        self._file_problem: str | None = None
        self._written = None if path is None else _written(path)
        self._known = _Known.of(KeysFile() if path is None else load_keys(path), self._usage_of)

    @property
    def problem(self) -> str | None:
        return self._file_problem or (None if self._tokens is None else self._tokens.jwks.problem)

    def look(self) -> None:
        """Take the keys as they are by now; as they were where they cannot be read.

        Reads files and a URL, so that an event loop leaves it to a thread.
        """
        known = self._known
        if self._tokens is not None and self._tokens.jwks.look():
            self._known = _Known(known.teams, known.keys)
        written = None if self._path is None else _written(self._path)
        if self._path is None or (written == self._written and written is not None):
            return
        try:
            self._known = _Known.of(load_keys(self._path), self._usage_of)
            self._file_problem, self._written = None, written
        except ForebayError as error:
            self._file_problem = str(error)

    def admit(self, scope: Scope) -> None:
        """Let a request in whose sender is known, and keep in its scope who that is.

        Raises:
            UnauthenticatedError: nobody that is known.
            RateLimitedError: the team sends too many.
        """
        scope[CALLER] = caller = self.caller(scope)
        caller.usage.spend_request()

    def caller(self, scope: Scope) -> Caller:
        """Who sends a request.

        Raises:
            UnauthenticatedError: nobody that is known.
            KeysUnavailableError: that is not known yet.
        """
        sent = _key_sent(scope)
        if self._tokens is not None and sent.count(".") == 2:
            return self._caller_of_token(self._tokens, sent)
        return self._caller_of_key(sent)

    def _caller_of_key(self, sent: str) -> Caller:
        parts = split_key(sent)
        if parts is None:
            raise UnauthenticatedError("what was sent is not an API key", hint=_HINT)
        key, caller = self._known.keys.get(parts[0], _NOBODY)
        if not key.is_of(parts[1]) or key is NOBODY or key.revoked is not None:
            raise UnauthenticatedError("the API key is not known", hint=_HINT)
        if key.expires is not None and key.expires <= self._now():
            raise UnauthenticatedError("the API key has expired", hint=_HINT)
        return caller

    def _caller_of_token(self, tokens: TokenReader, sent: str) -> Caller:
        known, now = self._known, self._now().timestamp()
        digest = sha256(sent.encode()).digest()
        caller, good_until = known.tokens.get(digest, (None, 0.0))
        if caller is None or now >= good_until:
            token = tokens.read(sent)
            # Whoever the file does not name comes from elsewhere, unless a group has his name.
            entry = known.teams.get(token.team, TeamEntry(access=PUBLIC))
            team = Team(token.team, rights_of(token.team, entry))
            usage = self._usage_of(token.team, entry)
            caller = Caller(team, f"jwt:{token.subject}", usage)
            if len(known.tokens) >= _TOKENS_KEPT:
                known.tokens.clear()
            known.tokens[digest] = caller, token.expires
        return caller

    def _usage_of(self, name: str, entry: TeamEntry) -> Usage:
        """What a team has asked for so far, which stays as long as its rates do."""
        rates = Rates(
            self._rates.requests
            if entry.requests_per_second is None
            else entry.requests_per_second,
            self._rates.cells if entry.cells_per_second is None else entry.cells_per_second,
        ).share(self._workers)
        known = self._usages.get(name)
        if len(self._usages) > _TEAMS_KEPT:
            self._usages.clear()  # of tokens there may be any number of teams
        if known is None or known.rates != rates:
            known = self._usages[name] = Usage(rates)
        return known


def rights_of(name: str, entry: TeamEntry) -> Rights:
    """What the file lets a team read."""
    groups = (name,) if entry.groups is None else entry.groups
    return Rights(frozenset(groups), entry.access == PROTECTED)


def _written(path: Path) -> tuple[int, int] | None:
    """What differs where a file was written anew; None where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _key_sent(scope: Scope) -> str:
    """The key of a request: as a bearer token, or as the password by which a browser asks for a page.

    Raises:
        UnauthenticatedError: there is none, or more than one.
    """
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise UnauthenticatedError("there are two Authorization headers", hint=_HINT)
            found = value
    if found is None:
        raise UnauthenticatedError("no API key was sent", hint=_HINT, sent=False)
    scheme, _, credentials = found.partition(b" ")
    kind = scheme.lower()
    if len(found) <= _LONGEST:
        if kind == b"bearer":
            return credentials.strip().decode("latin-1")
        if kind == b"basic" and scope["method"] in ("GET", "HEAD"):
            return _password(credentials)
    raise UnauthenticatedError("the Authorization header is not a bearer token", hint=_HINT)


def _password(credentials: bytes) -> str:
    try:
        text = base64.b64decode(credentials.strip(), validate=True)
    except binascii.Error:
        return ""
    return text.partition(b":")[2].decode("latin-1")


def caller_of(scope: Scope) -> Caller:
    """Who sends a request that the gate let in. A request that did not pass it is a bug."""
    caller: Caller = scope[CALLER]
    return caller
