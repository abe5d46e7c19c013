"""forebay keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_specs.errors import ForebayError, did_you_mean
from forebay.dbt_project.project import Project, find_project
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, say, table

if TYPE_CHECKING:
    from serving.access.keys_file import KeysFile, TeamEntry

_file_option = click.option("--keys", type=click.Path(), help="The file; else the profile's.")


@click.group(epilog="Example: forebay keys create risk")
def keys_command() -> None:
    """Create, list and revoke the API keys of `forebay serve`."""


@keys_command.command(epilog="Example: forebay keys create risk --expires '90 days'")
@click.argument("team")
@click.option("--group", "groups", multiple=True, help="A dbt group whose private views it reads.")
@click.option(
    "--access",
    type=click.Choice(["protected", "public"]),
    help="Which other views the team reads: protected ones too, or public ones only.",
)
@click.option(
    "--requests-per-second",
    type=click.FloatRange(0, min_open=True),
    help="Of the team, for a server.",
)
@click.option(
    "--cells-per-second",
    type=click.FloatRange(0, min_open=True),
    help="Entities times features of the team, for a server.",
)
@click.option("--expires", help="How long the key is good, such as '90 days'; else for ever.")
@_file_option
@target_option
@json_option
def create(
    team: str,
    groups: tuple[str, ...],
    access: str | None,
    expires: str | None,
    keys: str | None,
    target: str | None,
    as_json: bool,
    **rates: float | None,
) -> None:
    """Make a key of TEAM and print it, once: only its hash is kept."""
    from feature_specs.durations import parse_duration
    from serving.access.api_key import make_key
    from serving.access.keys_file import KeysFile, changing, load_keys, write_keys
    from serving.access.team import check_team_name

    project = find_project(target=target)
    path, now = _file_of(project, keys), datetime.now(UTC)
    check_team_name(team, "TEAM")
    lifetime = None if expires is None else parse_duration(expires, where="--expires")
    with changing(path):
        held = load_keys(path) if path.exists() else KeysFile()
        entry = _entry(held, team, groups=groups or None, access=access, **rates)
        text, stored = make_key(team, now, None if lifetime is None else now + lifetime)
        write_keys(path, held.with_team(team, entry).with_key(stored))
    if as_json:
        emit_json({"key": text, "id": stored.id, "team": team, "expires": stored.expires})
    else:
        say(text)
    click.echo(f"key {stored.id} of team {team!r} in {path}; it is not shown again", err=True)
    _tell_rights(project, team, entry)


@keys_command.command("list", epilog="Example: forebay keys list --json")
@_file_option
@target_option
@json_option
def list_(keys: str | None, target: str | None, as_json: bool) -> None:
    """List the keys: their ids, teams and lives, and what the teams may read."""
    from serving.access.keys_file import load_keys

    held, now = load_keys(_file_of(find_project(target=target), keys)), datetime.now(UTC)
    rows = [
        {
            "id": key.id,
            "team": key.team,
            "state": _state(key.revoked, key.expires, now),
            "created": key.created,
            "expires": key.expires,
            **_team_facts(held, key.team),
        }
        for key in held.keys.values()
    ]
    if as_json:
        emit_json(rows)
    elif rows:
        say(table([tuple(map(_shown, row.values())) for row in rows], tuple(rows[0])))
    else:
        say("no key yet: `forebay keys create TEAM` makes one")


@keys_command.command(epilog="Example: forebay keys revoke 4f1c0a9be27d")
@click.argument("key_id", metavar="ID")
@_file_option
@target_option
def revoke(key_id: str, keys: str | None, target: str | None) -> None:
    """Revoke the key of that ID: running servers refuse it within a second or two."""
    from dataclasses import replace

    from serving.access.keys_file import changing, load_keys, write_keys

    path = _file_of(find_project(target=target), keys)
    with changing(path):
        held = load_keys(path)
        key = held.keys.get(key_id)
        if key is None:
            # Whoever pastes the key itself here must not find it in a log.
            raise ForebayError(
                "no key has that id",
                where=str(path),
                hint="`forebay keys list` shows the ids"
                if key_id.startswith("fbk_")
                else did_you_mean(key_id[:40], held.keys),
            )
        if key.revoked is None:
            write_keys(path, held.with_key(replace(key, revoked=datetime.now(UTC))))
    say(f"key {key_id} of team {key.team!r} is revoked")


def _file_of(project: Project, named: str | None) -> Path:
    from forebay.serve_settings import read_settings

    found = read_settings(project, {"keys": named}).keys
    if found is None:
        raise ForebayError(
            "no file of API keys is named",
            where=str(project.profile_target.file),
            hint="write `serve: {keys: keys.json}` into the plugin's config, or say --keys FILE",
        )
    return Path(found)


def _entry(held: KeysFile, team: str, **said: Any) -> TeamEntry:
    """What is said of the team by now; what no option names stays."""
    from dataclasses import replace

    from serving.access.keys_file import TeamEntry

    given = {name: value for name, value in said.items() if value is not None}
    return replace(held.teams.get(team, TeamEntry()), **given)


def _tell_rights(project: Project, team: str, entry: TeamEntry) -> None:
    """What the team reads of what was compiled last, if anything was."""
    from serving.access.gate import rights_of
    from serving.access.rights import Readers

    try:
        catalog = project.catalog()
    except ForebayError:
        return
    for group in entry.groups or ():
        if group not in catalog.groups:
            hint = did_you_mean(group, catalog.groups)
            click.echo(f"note: the project has no dbt group {group!r}: {hint}", err=True)
    readers, rights = Readers(catalog.access, catalog.groups), rights_of(team, entry)
    known = catalog.access
    refused = [v for v in known if not readers.may_read(rights, v)]
    said = f"it reads {len(known) - len(refused)} of {len(known)} views"
    click.echo(said + (f", not {', '.join(refused)}" if refused else ""), err=True)


def _team_facts(held: KeysFile, team: str) -> dict[str, Any]:
    from serving.access.keys_file import TeamEntry

    entry = held.teams.get(team, TeamEntry())
    groups = (team,) if entry.groups is None else entry.groups
    return {**vars(entry), "groups": list(groups)}


def _state(revoked: datetime | None, expires: datetime | None, now: datetime) -> str:
    if revoked is not None:
        return "revoked"
    return "expired" if expires is not None and expires <= now else "good"


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
