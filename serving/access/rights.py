"""What a team may read, by dbt's groups and access modifiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feature_specs.access import PRIVATE, PROTECTED, PUBLIC, ViewAccess
from serving.access.errors import ForbiddenError


@dataclass(frozen=True)
class Rights:
    """What a team may read; plans are kept by it, so that teams with equal rights share them.

    Attributes:
        groups: the dbt groups whose private views it reads.
        protected: whether it reads protected views, though none of its groups is the project's.
    """

    groups: frozenset[str]
    protected: bool


class Readers:
    """Who may read the views of a compiled project.

    Args:
        access: of each view by its name.
        groups: names of the project's dbt groups.

    >>> readers = Readers({"v": ViewAccess("private", "risk", "risk@x.org")}, ["risk"])
    >>> readers.check("risk", Rights(frozenset({"risk"}), False), ["v"])
    >>> readers.check("ads", Rights(frozenset({"ads"}), True), ["v"])
    Traceback (most recent call last):
    ...
    serving.access.errors.ForbiddenError: v: team 'ads' may not read feature view 'v', which is \
private to group 'risk'. Hint: ask risk@x.org
    """

    def __init__(self, access: Mapping[str, ViewAccess], groups: Iterable[str]) -> None:
        self._access, self._groups = access, frozenset(groups)

    def may_read(self, rights: Rights, view: str) -> bool:
        """Whether a view may be read; nobody reads one of which nothing is known."""
        known = self._access.get(view)
        if known is None:
            return False
        if known.access == PUBLIC:
            return True
        if known.group in rights.groups and known.group:
            return True
        # A team that is one of the project's groups is at home there.
        at_home = rights.protected or not self._groups.isdisjoint(rights.groups)
        return known.access == PROTECTED and at_home

    def check(self, team: str, rights: Rights, views: Iterable[str]) -> None:
        """Refuse views that a team may not read.

        Raises:
            ForbiddenError: says who to ask.
        """
        refused = [view for view in views if not self.may_read(rights, view)]
        if refused:
            raise self._forbidden(team, refused)

    def _forbidden(self, team: str, refused: list[str]) -> ForbiddenError:
        first = refused[0]
        known = self._access.get(first)
        more = f" (nor {', '.join(map(repr, refused[1:]))})" if refused[1:] else ""
        who = f"team {team!r}" if team else "whoever names no team"
        said = f"{who} may not read feature view {first!r}{more}"
        if known is None:
            return ForbiddenError(
                f"{said}, of which no access was compiled",
                where=first,
                hint="run `forebay compile` and restart `forebay serve`",
                views=refused,
            )
        to_whom = "to teams of this project" if known.access != PRIVATE else ""
        return ForbiddenError(
            f"{said}, which is {known.access} {to_whom or f'to group {known.group!r}'}",
            where=first,
            hint=f"ask {known.owner or 'its author'}",
            views=refused,
        )
