"""The file of API keys: what is kept of a key, and what is refused."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feature_specs.errors import ForebayError
from serving.access.api_key import make_key, split_key
from serving.access.keys_file import (
    KeysFile,
    TeamEntry,
    changing,
    load_keys,
    parse_keys,
    write_keys,
)

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
TEXT, KEY = make_key("risk", NOW)


def test_a_key_is_known_by_its_hash_alone() -> None:
    parts = split_key(TEXT)
    assert parts is not None and parts[0] == KEY.id
    assert KEY.is_of(parts[1])
    assert parts[1] not in repr(KEY)
    assert not KEY.is_of(parts[1][:-1] + ("A" if parts[1][-1] != "A" else "B"))
    other, same_team = make_key("risk", NOW)
    assert other != TEXT and same_team.salt != KEY.salt and same_team.hash != KEY.hash
    # The same secret under another salt is not the same hash.
    assert not replace(KEY, salt=same_team.salt).is_of(parts[1])


@pytest.mark.parametrize(
    "text",
    ["", "fbk_", TEXT + "x", TEXT[:-1], TEXT.upper(), f" {TEXT}"],
    # A key is another one in each process, and pytest-xdist's must collect the same tests.
    ids=["empty", "prefix", "longer", "shorter", "capitals", "blank"],
)
def test_other_texts_are_no_keys(text: str) -> None:
    assert split_key(text) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, other = make_key('Ümläut "team"\\', NOW, NOW.replace(year=2027))
    held = KeysFile({"risk": TeamEntry(("risk", "ops"), "public")})
    held = held.with_key(replace(KEY, revoked=NOW)).with_key(other)
    write_keys(path, held)
    assert load_keys(path) == held
    assert path.stat().st_mode & 0o777 == 0o600
    parts = split_key(TEXT)
    assert parts is not None and parts[1] not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_its_mode_and_a_link_to_it_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "keys.json"
    write_keys(real, KeysFile())
    real.chmod(0o640)
    link.symlink_to(real)
    write_keys(link, KeysFile().with_key(KEY))
    assert link.is_symlink() and load_keys(real).keys == {KEY.id: KEY}
    assert real.stat().st_mode & 0o777 == 0o640


def test_its_owner_stays(tmp_path: Path) -> None:
    # Root changes the file of the user whose server reads it.
    owner = (12345, 23456) if os.getuid() == 0 else (os.getuid(), os.getgid())
    path = tmp_path / "keys.json"
    write_keys(path, KeysFile())
    os.chown(path, *owner)
    write_keys(path, KeysFile().with_key(KEY))
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (*owner, 0o600)


def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, KeysFile())
    path.chmod(0o602)
    with pytest.raises(ForebayError, match="everybody on this machine may write"):
        load_keys(path)


def test_keys_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, KeysFile())

    def add(number: int) -> str:
        with changing(path):
            _, key = make_key(f"team {number}", NOW)
            write_keys(path, load_keys(path).with_key(key))
        return key.id

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(add, range(40)))
    assert set(load_keys(path).keys) == made


GOOD = {"id": "00", "team": "a", "salt": "00", "hash": "00", "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "raw",
    [
        "[]",
        "{",
        {"format": 2},
        {"teams": []},
        {"keys": {}},
        {"teams": {"": {}}},
        {"teams": {"a\nb": {}}},
        {"teams": {"a": {"acces": "public"}}},
        {"teams": {"a": {"access": "private"}}},
        {"teams": {"a": {"groups": "risk"}}},
        {"teams": {"a": {"groups": [1]}}},
        {"teams": {"a": None}},
        {"keys": [None]},
        {"keys": [GOOD, GOOD]},
        *({"keys": [{**GOOD, name: value}]} for name in GOOD for value in (None, 7, "", "\u202e")),
        {"keys": [{**GOOD, "expires": "2026-01-01T00:00:00"}]},
        {"keys": [{**GOOD, "revoked": True}]},
        {"keys": [{**GOOD, "revokd": None}]},
    ],
)
def test_a_file_of_another_form_is_refused(raw: Any) -> None:
    text = raw if isinstance(raw, str) else json.dumps({"format": 1, **raw})
    with pytest.raises(ForebayError, match="Hint: "):
        parse_keys(text, "keys.json")
    assert parse_keys(json.dumps({"format": 1, "keys": [GOOD]}), "").keys["00"].team == "a"
