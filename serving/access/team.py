"""Teams: who keys and tokens speak for."""

from __future__ import annotations

from dataclasses import dataclass

from feature_specs.errors import ForebayError
from serving.access.rate import Usage
from serving.access.rights import Rights

_LONGEST = 100


@dataclass(frozen=True)
class Team:
    """A team as a server knows it.

    Attributes:
        rights: what it may read.
    """

    name: str
    rights: Rights


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        key: names the key or token in logs; no secret.
        usage: what the team has asked for so far.
    """

    team: Team
    key: str
    usage: Usage


def check_team_name(name: object, where: str) -> str:
    """A team's name: 1 to 100 printable characters.

    Raises:
        ForebayError: it is none.
    """
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= _LONGEST
        or not name.isprintable()
        or name != name.strip()
    ):
        raise ForebayError(
            "a team's name is not a text of 1 to 100 printable characters",
            where=where,
            hint='name it as its dbt group is named, such as "risk"',
        )
    return name
