"""Who reads features on this machine, and what of them is another group's alone.

It guards against mistakes: whoever can read the lake's files can read what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from feature_specs.access import PRIVATE
from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError
from feature_specs.lake_properties import TEAM
from forebay.dbt_project.project import Project
from serving.access.errors import ForbiddenError
from serving.access.rate import UNLIMITED, Usage
from serving.access.rights import Readers, Rights
from serving.access.team import Caller, Team, check_team_name

#: Names the team; comes before the profile.
VARIABLE = "FOREBAY_TEAM"


def own_team(project: Project) -> Team:
    """The user's team: from FOREBAY_TEAM, else from the profile; without a name if neither is set.

    Raises:
        ForebayError: what is named is not a team's name.
    """
    named: object = os.environ.get(VARIABLE) or project.plugin.get(TEAM)
    if named is None:
        return Team("", Rights(frozenset(), True))
    where = VARIABLE if os.environ.get(VARIABLE) else f"{project.profile_target.file}, {TEAM}"
    name = check_team_name(named, where)
    return Team(name, Rights(frozenset({name}), True))


def own_caller(project: Project) -> Caller:
    """Whoever runs this, as a server knows who asks."""
    return Caller(own_team(project), "", Usage(UNLIMITED))


def readers_of(catalog: Catalog) -> Readers | None:
    """Who may read what; None where nothing is private, so that everything may be read here."""
    if all(known.access != PRIVATE for known in catalog.access.values()):
        return None
    return Readers(catalog.access, catalog.groups)


def check_readable(project: Project, catalog: Catalog, views: Iterable[str]) -> None:
    """Refuse views that are private to another group than that of whoever runs this.

    Args:
        views: names of views or of roles.

    Raises:
        ForbiddenError: says who to ask.
    """
    readers = readers_of(catalog)
    if readers is None:
        return
    known = [view for view in dict.fromkeys(views) if view in catalog.access]
    team = own_team(project)
    try:
        readers.check(team.name, team.rights, known)
    except ForbiddenError as error:
        raise with_hint(error, catalog, team) from None


def refusals(project: Project, catalog: Catalog, views: Iterable[str]) -> dict[str, ForebayError]:
    """Of the views those that whoever runs this may not read, each with who to ask."""
    refused: dict[str, ForebayError] = {}
    for view in views:
        try:
            check_readable(project, catalog, [view])
        except ForbiddenError as error:
            refused[view] = error
    return refused


def with_hint(error: ForbiddenError, catalog: Catalog, team: Team) -> ForebayError:
    """The refusal, with how whoever is of the group says so, where no team is named."""
    if team.name:
        return error
    group = catalog.access[error.views[0]].group
    return ForbiddenError(
        error.what,
        where=str(error.where),
        hint=f"{error.hint}; who is of the group writes `{TEAM}: {group}` into the plugin's config in "
        f"profiles.yml, or sets {VARIABLE}={group}",
        views=error.views,
    )
