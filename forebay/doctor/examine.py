"""Run every check of `forebay doctor`; one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from forebay.dbt_project.project import Project, find_project
from forebay.doctor import check_clocks, check_data, check_project, check_space, check_versions
from forebay.doctor.check import Diagnosis, findings_of

_Check = tuple[str, Callable[[Project], Iterable[Diagnosis]]]

#: Of dbt_project.yml alone.
_TEXTS: tuple[_Check, ...] = (
    (check_project.PROJECT, check_project.check_project),
    (check_project.PROFILE, check_project.check_profile),
    (check_clocks.CHECK, check_clocks.check_clock),
)
#: Of what the profile's target names: nothing can be said of it where that is not complete.
_PLACES: tuple[_Check, ...] = (
    (check_versions.CHECK, check_versions.check_extras),
    (check_project.SERVE, check_project.check_serve),
    (check_space.RIGHTS, check_space.check_permissions),
    (check_space.SPACE, check_space.check_space),
    (check_clocks.CHECK, check_clocks.check_files),
    (check_project.COMPILED, check_project.check_compiled),
    (check_data.LAKE, check_data.check_lake),
    (check_clocks.CHECK, check_clocks.check_written),
    (check_data.BUILT, check_data.check_built),
    (check_data.STORE, check_data.check_store),
)


def examine(target: str | None = None) -> list[Diagnosis]:
    """The results of all checks, in the order in which to fix them.

    Args:
        target: in profiles.yml.
    """
    return list(_examine(target))


def _examine(target: str | None) -> Iterator[Diagnosis]:
    yield from findings_of(check_versions.CHECK, check_versions.check_versions)
    held: list[Project] = []
    yield from findings_of(check_project.PROJECT, partial(_find, target, held))
    for project in held:
        profile: list[Diagnosis] = []
        for name, check in _TEXTS:
            found = list(findings_of(name, partial(check, project)))
            profile += [f for f in found if f.check == check_project.PROFILE]
            yield from found
        if all(f.status == "ok" for f in profile):
            for name, check in _PLACES:
                yield from findings_of(name, partial(check, project))


def _find(target: str | None, held: list[Project]) -> Iterator[Diagnosis]:
    held.append(find_project(target=target))
    yield from ()
