"""The Trino of a project: an output of `type: trino` in its profile, as dbt-trino has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_profile import read_target
from lakehouse.engines.trino import TrinoSettings

#: Holds the user's password where the profile has none.
PASSWORD = "FOREBAY_TRINO_PASSWORD"
_METHODS = ("none", "ldap", "jwt")
_EXAMPLE = """\
{profile}:
  outputs:
    trino:
      type: trino
      method: none
      host: localhost
      port: 8080
      user: {user}
      database: lake    # the Trino catalog over this project's lake
      schema: main
"""


def trino_settings(project: Project) -> TrinoSettings:
    """How to reach the Trino that the project's profile names.

    It is the target of the run if that is a Trino, else the output named ``trino``, else the only
    one of that type.

    Raises:
        ForebayError: there is none, or it lacks something.
    """
    file = project.profiles / "profiles.yml"
    profile = project.profile_target.profile
    name, output = trino_output(project)
    place = f"{file}, output {name!r} of profile {profile!r}"
    lacks = [key for key in ("host", "port", "user", "database") if not output.get(key)]
    if lacks:
        raise ForebayError(
            f"it lacks {', '.join(lacks)}",
            where=place,
            hint="docs/engines.md shows a whole one",
        )
    method = str(output.get("method") or "none")
    if method not in _METHODS:
        raise ForebayError(
            f"method {method!r} is not supported here",
            where=place,
            hint=f"use one of {', '.join(_METHODS)}",
        )
    password = output.get("password") or os.environ.get(PASSWORD)
    scheme = str(output.get("http_scheme") or ("http" if method == "none" else "https"))
    if method == "ldap" and not password:
        raise ForebayError(
            f"user {output['user']!r} has no password", where=place, hint=f"export {PASSWORD}=..."
        )
    return TrinoSettings(
        host=str(output["host"]),
        port=int(output["port"]),
        user=str(output["user"]),
        catalog=str(output["database"]),
        http_scheme=scheme,
        password=str(password) if method == "ldap" else None,
        jwt=str(output.get("jwt_token")) if method == "jwt" else None,
        verify=output.get("cert") or True,
        place=place,
    )


def trino_output(project: Project) -> tuple[str, Mapping[str, Any]]:
    """The output's name, and the output rendered."""
    target = project.profile_target
    file = project.profiles / "profiles.yml"
    names = [target.name, "trino", *(target.known or [])]
    for name in dict.fromkeys(n for n in names if n in (target.known or [])):
        found = target if name == target.name else read_target(file, target.profile, name)
        if (found.output or {}).get("type") == "trino":
            return name, found.output or {}
    user = os.environ.get("USER", "me")
    raise ForebayError(
        f"profile {target.profile!r} names no Trino",
        where=str(file),
        hint="add an output of `type: trino` beside the others:",
        paste=_EXAMPLE.format(profile=target.profile, user=user),
    )
