"""Refuses features of views that a caller may not read, before a plan is made of them."""

from __future__ import annotations

from collections.abc import Iterable

from serving.access.rights import Readers
from serving.access.team import Caller
from serving.lookup.plan import Reference


def views_of(features: Iterable[Reference]) -> tuple[str, ...]:
    """The views of features, each once."""
    return tuple(dict.fromkeys(view for view, _ in features))


def check_rights(readers: Readers | None, caller: Caller | None, views: Iterable[str]) -> None:
    """Do nothing where everybody may read everything.

    Raises:
        ForbiddenError: a view is not for the caller's team.
    """
    if readers is None:
        return
    if caller is None:
        raise TypeError("a request has passed no gate")
    readers.check(caller.team.name, caller.team.rights, views)
