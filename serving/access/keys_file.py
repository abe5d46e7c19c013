"""The file of API keys: teams with what they may read, and their keys' hashes. It holds no secret.

`forebay keys` writes it. Whoever can write it can give himself a key.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from feature_specs.access import PROTECTED, PUBLIC
from feature_specs.errors import ForebayError, did_you_mean
from serving.access.api_key import StoredKey
from serving.access.team import check_team_name

FORMAT = 1

_TEAM_FIELDS = ("groups", "access", "requests_per_second", "cells_per_second")
_KEY_FIELDS = ("id", "team", "salt", "hash", "created", "expires", "revoked")
_ACCESS = (PROTECTED, PUBLIC)
_HEX = re.compile("(?:[0-9a-f]{2})+")


@dataclass(frozen=True)
class TeamEntry:
    """What the file says of a team.

    Attributes:
        groups: dbt groups whose private views it reads; None for the one of its own name.
        access: ``protected`` or ``public``: the views that it reads besides.
        requests_per_second, cells_per_second: that it may ask for; None for the server's own limit.
    """

    groups: tuple[str, ...] | None = None
    access: str = PROTECTED
    requests_per_second: float | None = None
    cells_per_second: float | None = None


@dataclass(frozen=True)
class KeysFile:
    """All of the file: teams by name, keys by id."""

    teams: Mapping[str, TeamEntry] = field(default_factory=dict)
    keys: Mapping[str, StoredKey] = field(default_factory=dict)

    def dumps(self) -> str:
        """The file's text."""
        raw = {
            "format": FORMAT,
            "teams": {name: _plain(vars(team)) for name, team in self.teams.items()},
            "keys": [_plain(vars(key)) for key in self.keys.values()],
        }
        return json.dumps(raw, indent=1, default=_text, ensure_ascii=False) + "\n"

    def with_key(self, key: StoredKey) -> KeysFile:
        """The same with a key added, or in another one's place."""
        return replace(self, keys={**self.keys, key.id: key})

    def with_team(self, name: str, team: TeamEntry) -> KeysFile:
        """The same with what is said of a team."""
        return replace(self, teams={**self.teams, name: team})


def load_keys(path: Path) -> KeysFile:
    """Read the file.

    Raises:
        ForebayError: it is not there, everybody may write it, or it is not as `forebay keys` writes it.
    """
    try:
        with path.open() as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & stat.S_IWOTH:
                raise ForebayError(
                    "everybody on this machine may write the API keys",
                    where=str(path),
                    hint=f"run `chmod o-w {path}`, and look through its teams and keys",
                )
            text = opened.read()
    except FileNotFoundError:
        raise ForebayError(
            "there is no file of API keys",
            where=str(path),
            hint="make it with `forebay keys create TEAM`",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ForebayError(
            f"the API keys cannot be read: {error}", where=str(path), hint="name another file"
        ) from None
    return parse_keys(text, str(path))


def parse_keys(text: str, where: str) -> KeysFile:
    """The contents of the file's text. Raises ForebayError where it is not as it is written."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong(f"not JSON: {error}", where) from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise _wrong(f"no file of API keys of format {FORMAT}", where)
    teams, keys = raw.get("teams", {}), raw.get("keys", [])
    if not isinstance(teams, dict) or not isinstance(keys, list):
        raise _wrong("teams must be an object and keys a list", where)
    read_teams = {check_team_name(name, where): _team(each, where) for name, each in teams.items()}
    read_keys = [_key(each, where) for each in keys]
    by_id = {key.id: key for key in read_keys}
    if len(by_id) < len(read_keys):
        raise _wrong("two keys have one id", where)
    return KeysFile(read_teams, by_id)


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Holds off others who change the file; it is read by anybody meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write_keys(path: Path, keys: KeysFile) -> None:
    """Replace the file in one step; nobody but its owner may read or write it if it is new.

    Raises:
        ForebayError: it is another user's, whose server could not read it any more.
    """
    mode, owner = 0o600, None
    with suppress(FileNotFoundError):
        before = path.stat()
        mode, owner = stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid)
    target = path.resolve()  # a link to the file stays one
    temporary = target.with_name(f".{target.name}.{uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(keys.dumps())
            opened.flush()
            if owner is not None:
                os.fchown(opened.fileno(), *owner)
            os.fchmod(opened.fileno(), mode)
            os.fsync(opened.fileno())
        temporary.replace(target)
    except PermissionError as error:
        raise ForebayError(
            f"the API keys stay as they were: {error.strerror}",
            where=str(path),
            hint="run it as the user whose file it is",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _team(raw: Any, where: str) -> TeamEntry:
    fields = _fields(raw, _TEAM_FIELDS, "a team", where)
    groups = fields.get("groups")
    if groups is not None and not _are_texts(groups):
        raise _wrong("a team's groups are not a list of names", where)
    access = fields.get("access", PROTECTED)
    if access not in _ACCESS:
        raise _wrong(f"a team's access is neither {PROTECTED!r} nor {PUBLIC!r}", where)
    rates = [_rate(fields.get(name), where) for name in _TEAM_FIELDS[2:]]
    return TeamEntry(None if groups is None else tuple(groups), access, *rates)


def _rate(raw: Any, where: str) -> float | None:
    if raw is None:
        return None
    if type(raw) not in (int, float) or not 0 < raw < float("inf"):
        raise _wrong("a team's rate is not a number above 0", where)
    return float(raw)


def _key(raw: Any, where: str) -> StoredKey:
    fields = _fields(raw, _KEY_FIELDS, "a key", where)
    texts = [str(fields.get(name) or "") for name in ("id", "salt", "hash")]
    if not all(map(_HEX.fullmatch, texts)):
        raise _wrong("a key's id, salt or hash is not hexadecimal", where)
    times = [_instant(fields.get(name), where) for name in ("created", "expires", "revoked")]
    created, expires, revoked = times
    if created is None:
        raise _wrong("a key does not say when it was created", where)
    made, salt, hashed = texts
    team = check_team_name(fields.get("team"), where)
    return StoredKey(made, team, salt, hashed, created, expires, revoked)


def _fields(raw: Any, known: Sequence[str], kind: str, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise _wrong(f"{kind} is not an object", where)
    for name in raw:
        if name not in known:
            raise _wrong(f"{kind} has no field {name!r} ({did_you_mean(name, known)})", where)
    return raw


def _instant(raw: Any, where: str) -> datetime | None:
    if raw is None:
        return None
    try:
        made = datetime.fromisoformat(raw)
    except (TypeError, ValueError):
        made = None
    if made is None or made.tzinfo is None:
        raise _wrong("a key's time is not an instant with an offset", where)
    return made


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _wrong(what: str, where: str) -> ForebayError:
    return ForebayError(what, where=where, hint="let `forebay keys` write this file")
